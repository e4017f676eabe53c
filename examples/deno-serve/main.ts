import ms from "ms";

const port = Number(Deno.env.get("PORT") ?? "5000");
Deno.serve({ port, hostname: "0.0.0.0" }, () => new Response(`Hello from deno-serve\na day has ${ms("1d")} ms\n`));
