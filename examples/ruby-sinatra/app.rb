require "sinatra/base"

# A page by Sinatra.
class App < Sinatra::Base
  get "/" do
    content_type "text/plain"
    "Hello from ruby-sinatra\n"
  end
end
