<?php
namespace App;

use Greeting\Hello;

class Page
{
    public function text(string $path): string
    {
        return Hello::to('php-composer') . "path $path\n";
    }
}
