document.querySelector("#hello").textContent = "Hello from vite-static";
