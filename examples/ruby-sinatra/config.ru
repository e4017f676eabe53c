require "bundler/setup"
require "./app"
run App
