import ms from "ms";

Bun.serve({
  port: Number(process.env.PORT ?? "5000"),
  fetch: () => new Response(`Hello from bun-serve\na day has ${ms("1d")} ms\n`),
});
