//! A page from Rust's standard library, a thread for each connection.
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, io, thread};

const BODY: &str = "Hello from rust-std\n";

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            write!(
                writer,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{}",
                BODY.len(),
                BODY
            )?;
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let port = env::var("PORT").unwrap_or_else(|_| "5000".into());
    let listener = TcpListener::bind(format!("0.0.0.0:{}", port))?;
    println!("rust-std listens on {}", port);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}
