/**
 * vercel's resumable-stream on Node's HTTP server, as its README has it with explicit resumption.
 *
 *     GET /start?id=ID&prompt=TEXT   createNewResumableStream over an answer of the upstream; its first reader leaves at
 *                                    once, and "the producer will always complete the stream"
 *     GET /resume?id=ID&at=N         resumeExistingStream, after N characters
 *
 * The environment names PORT, UPSTREAM (a base URL of OpenAI's wire), MODEL and REDIS_URL, which the library reads itself.
 */
"use strict";
const http = require("node:http");
const { Readable } = require("node:stream");
const { createResumableStreamContext } = require("resumable-stream");

const context = createResumableStreamContext({ waitUntil: (promise) => void promise });

/** The upstream's deltas as events like the service's, a string each. */
function answer(prompt) {
  return new ReadableStream({
    async start(controller) {
      const response = await fetch(`${process.env.UPSTREAM}/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          model: process.env.MODEL,
          stream: true,
          messages: [{ role: "user", content: prompt }],
        }),
      });
      let rest = "";
      let id = 0;
      for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
        const events = (rest + part).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          if (event === "data: [DONE]") continue;
          const content = JSON.parse(event.slice(6)).choices[0]?.delta.content;
          if (!content) continue;
          const data = JSON.stringify({ content, tokens: 1, cost_usd: 6e-7 });
          controller.enqueue(`event: message_chunk\nid: ${id++}\nretry: 10000\ndata: ${data}\n\n`);
        }
      }
      controller.close();
    },
  });
}

async function start(asked, response) {
  const stream = await context.createNewResumableStream(asked.get("id"), () => answer(asked.get("prompt")));
  await stream.cancel();
  response.end("started");
}

async function resume(asked, response) {
  const stream = await context.resumeExistingStream(asked.get("id"), Number(asked.get("at")));
  if (!stream) {
    response.writeHead(422).end("Stream is already done");
    return;
  }
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const body = Readable.fromWeb(stream);
  body.on("error", () => response.destroy());
  response.on("close", () => body.destroy());
  body.pipe(response);
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const answered = url.pathname === "/start" ? start : resume;
  answered(url.searchParams, response).catch((error) => response.destroy(error));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
