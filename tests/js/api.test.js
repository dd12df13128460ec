import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, ApiError } from "../../static/magic/api.js";
import { FakeFetch } from "./fakes.js";

const request = { stream_id: "s", message: "hi" };
const anonymous = { status: 401, body: { status: 401, error_type: "identity_required" } };
const nameless = { status: 400, body: { errors: [{ name: "user_id", reason: "is needed" }] } };
const paths = (net) => net.calls.map(({ method, url }) => `${method} ${url}`);

for (const [what, refusal] of Object.entries({ "401": anonymous, "open access": nameless })) {
  test(`who has no identity gets one, once, and the start is repeated (${what})`, async () => {
    const started = { status: 201, body: { stream_id: "s" } };
    const net = new FakeFetch(refusal, refusal, { body: { user_id: "anon_1" } }, started);
    const snapshot = await new Api("/api/v1", net.fetch).start(request);
    assert.equal(snapshot.stream_id, "s");
    assert.deepEqual(paths(net), [
      "POST /api/v1/stream",
      "GET /api/v1/streams?limit=1",
      "POST /api/v1/anon_session",
      "POST /api/v1/stream",
    ]);
    assert.equal(net.calls[3].body, net.calls[0].body);
  });
}

test("a refused identity is not asked for again and again", async () => {
  const net = new FakeFetch(anonymous, anonymous, { body: {} }, anonymous);
  await assert.rejects(new Api("/api/v1", net.fetch).start(request), { status: 401 });
  assert.equal(net.calls.length, 4);
});

test("two calls at once get one identity", async () => {
  const calls = [];
  let known = false;
  const fetch = async (url, { method }) => {
    calls.push(`${method} ${url}`);
    if (url.endsWith("anon_session")) known = true;
    return new Response("{}", { status: known ? 200 : 401 });
  };
  const api = new Api("/api/v1", fetch);
  await Promise.all([api.start(request), api.start({ ...request, stream_id: "t" })]);
  assert.equal(calls.filter((call) => call.endsWith("anon_session")).length, 1);
});

test("a stranger has no answers yet and gets no identity for looking", async () => {
  const net = new FakeFetch(anonymous);
  assert.deepEqual(await new Api("/api/v1", net.fetch).own("/streams"), null);
  assert.equal(net.calls.length, 1);
});

test("another bad parameter is no question of who asks", async () => {
  const errors = [{ name: "user_id", reason: "is needed" }, { name: "limit", reason: "no" }];
  const bad = { status: 400, body: { errors } };
  await assert.rejects(new Api("/api/v1", new FakeFetch(bad).fetch).own("/streams"), { status: 400 });
});

test("a problem becomes an error with the server's words", async () => {
  const body = { status: 429, detail: "Too many.", error_type: "rate_limited" };
  const net = new FakeFetch({ status: 429, body, headers: { "Retry-After": "7" } });
  const error = await new Api("/api/v1", net.fetch).start(request).catch((thrown) => thrown);
  assert.ok(error instanceof ApiError);
  assert.equal(error.message, "Too many.");
  assert.equal(error.errorType, "rate_limited");
  assert.equal(error.retryAfterMs, 7000);
});

test("only the server's own word says that a call was not carried out", () => {
  assert.deepEqual(
    [new ApiError(0), new ApiError(502), new ApiError(503, { error_type: "unavailable" }), new ApiError(429)].map(
      (error) => error.unknown,
    ),
    [true, true, false, false],
  );
});

test("no answer, and one that was cut, have status 0", async () => {
  await assert.rejects(new Api("", new FakeFetch().fetch).start(request), { status: 0 });
  const cut = async () => new Response('{"stream_id": "s', { status: 201 });
  await assert.rejects(new Api("", cut).start(request), { status: 0 });
});
