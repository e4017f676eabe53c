<?php
namespace Greeting;

class Hello
{
    public static function to(string $name): string
    {
        return "Hello from $name\n";
    }
}
