module example.org/go-stdlib

go 1.19
