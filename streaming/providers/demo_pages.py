"""What the demo provider says: pages of Markdown, and the choice among them."""

from __future__ import annotations

import re
from hashlib import sha256

HELP = """\
### Commands of the demo model

Something that starts with a slash is a command. These are known:

| command | what you get |
|---|---|
| `/count N [per_second]` | the numbers 1 to N, one event each; with `0` as fast as possible |
| `/echo TEXT` | your text back, word by word, exactly |
| `/markdown` | a page with every Markdown construct |
| `/sleep SECONDS` | silence for so long, kept alive by heartbeats, then one chunk |
| `/fail [after N chunks]` | a provider error, at once or in the middle |

For example `/count 100 20` counts to a hundred at twenty a second. Any other message is answered with a page \
about this system. No model is asked, and nobody is charged.
"""

_RESUME = """\
## An answer that survives a lost connection

Every piece of this answer is an **event** with a number: 0, 1, 2, and so on. It was written to a durable log \
*before* it was sent to you. Your browser remembers the last number that it saw, so when the connection breaks, it \
says that number, and the log goes on right after it: nothing is missing, nothing comes twice.

Try it now:

1. Send `/count 300 20`, which takes fifteen seconds.
2. While it counts, switch your network off, or reload the page.
3. Come back. The count goes on where you lost it, and it went on while you were away.

```bash
curl -N "$HOST/api/v1/stream?user_id=$ME&stream_id=$ID&last_event_id=41"
```

That line asks for everything after event 41. Ask a second time and you get *the same bytes* again, because first \
read, resume and late replay are one code path.

> Leaving is not cancelling. If you want the model to stop, press **Stop**; if you only close the tab, the answer is \
finished without you and waits here.
"""

_COST = """\
## What this answer costs

Nothing. The demo model runs inside the server, and **nobody is charged** for it. It is *priced* all the same, at \
0.15 USD per million tokens in and 0.60 USD per million out, so that the ledger, the budgets and the plots have \
something to count.

How the counting works with any model:

- A ledger row is born together with the stream, before the provider is asked.
- Each chunk carries an estimate of its own tokens and cost, so you can watch the sum grow.
- At the end the provider's own usage wins. Cached and reasoning tokens are priced once, as what they are.
- The final cost and the terminal event are written in **one transaction**: never one without the other.

| ending | what the ledger says |
|---|---|
| finished | `provider`: the exact usage |
| cancelled, failed, killed | `estimated`: the price of what was counted |
| no price known | `unknown`, and the cost is null, never zero |

Money is kept in whole pico-dollars, because a sum of floats would drift. Send `/count 1000 0` and look at the total.
"""

_CANCEL = """\
## Stopping is a verb of its own

Closing this page does **not** stop the answer, because a lost connection and a wish to stop look the same from the \
server. So there is a separate call for it:

```http
DELETE /api/v1/stream/{stream_id}
```

What it promises:

- It works from any process and any tab, before the first token and after a resume.
- The connection to the provider is closed within two seconds, so nothing more is generated.
- The stream still ends properly, with `done` and the reason `cancelled`.
- What was said until then is kept, and counted, and can be read again.
- Doing it twice changes nothing.

Try it: send `/count 1000 10` and press **Stop** somewhere in the middle. Then reload the page: the numbers up to your \
stop are still there, with their cost, which for this demo model nobody pays.
"""

_FAILURE = """\
## When something breaks

Every stream ends with exactly one terminal event, `done` or `error`, whatever happens on the way there.

1. **The provider fails.** You get `error` with a sentence, a type, and whether a retry makes sense. \
Send `/fail after 5 chunks` to see one.
2. **The provider is silent.** Heartbeats keep the line alive. Send `/sleep 25` and watch the activity light.
3. **The server is killed**, even with `kill -9`. Its lease runs out, another process notices, and the stream is \
closed as `interrupted` within fifteen seconds.
4. **Your connection breaks.** Nothing ends at all. You come back with the last event number and read on.

A process that was only paused and wakes up later is *fenced*: the log no longer takes its events, so no stream \
ever continues after its end.

None of these tests costs anything: this model lives inside the server, and nobody is charged for it.
"""

_WELCOME = """\
## Hello, this is the demo model

No language model read your message. This page was picked by a hash of it, so the *same message always gives the \
same answer*, and nobody is charged. What is real is everything around it: the stream that you are reading is \
logged, numbered, priced and resumable exactly as one from a real provider.

A few things to try:

- `/markdown` shows headings, tables, code and right-to-left text as they arrive, piece by piece.
- `/count 500 50` gives you ten seconds to reload the page, open a second tab, or pull the plug.
- `/sleep 20` shows what silence looks like, and `/fail after 10 chunks` what an error looks like.
- `/echo` followed by any text gives the text back, every blank included.

Open this page in **two tabs** while it is streaming: both read the same log and show the same bytes. To talk to a \
real model, set `OPENAI_API_KEY` in the settings and choose one from the list.
"""

_LOG = """\
## One log, one truth

Behind this answer there is a small machine with two halves that never talk to each other:

```text
producer:  provider -> events -> durable log
reader:    log after your last event -> you
```

The **producer** asks the model once, numbers what it says, and appends it to the log. Many streams share one commit, \
so being durable costs a fraction of a millisecond, not one disk write per word. A **reader** replays the log from \
any number on and then follows its end.

Because they only meet in the log:

- a second tab, a phone, or a reload next week all see the same bytes;
- a slow reader slows nobody else down;
- the same request sent twice starts **one** call and makes **one** bill.

This page comes from the built-in demo model, so there is no bill at all: nobody is charged. Cut the connection while \
`/count 200 20` runs, and see the two halves at work.
"""

_PAGES = (_WELCOME, _RESUME, _COST, _CANCEL, _FAILURE, _LOG)

_TOPICS = (
    (re.compile(r"\b(hello|hi|hey|welcome|help|who are you|what can you)\b", re.IGNORECASE), _WELCOME),
    (re.compile(r"\b(resum\w*|reconnect\w*|offline|network|connection|reload\w*|last.event.id)\b", re.I), _RESUME),
    (re.compile(r"\b(costs?|prices?|pricing|tokens?|money|bill\w*|budgets?|ledger|usd|dollars?)\b", re.I), _COST),
    (re.compile(r"\b(cancel\w*|stop\w*|abort\w*)\b", re.IGNORECASE), _CANCEL),
    (re.compile(r"\b(errors?|fail\w*|crash\w*|kill\w*|broken|timeouts?)\b", re.IGNORECASE), _FAILURE),
    (re.compile(r"\b(logs?|events?|durab\w*|sse|stream\w*|architecture|how does)\b", re.IGNORECASE), _LOG),
)


def page_for(message: str) -> str:
    """The page that answers ``message``: by its first topic that is known, else by its hash."""
    for topic, page in _TOPICS:
        if topic.search(message):
            return page
    digest = sha256(message.encode("utf-8", "surrogatepass")).digest()
    return _PAGES[digest[0] % len(_PAGES)]


_LONG_LINE = (
    f"A{'Very' * 40}LongWordWithoutAnyBlankInItThatHasToBeBrokenSomewhereOrScrolledSideways, and an address: "
    f"https://example.com/{'a/very/long/path/' * 8}?with=a&query=string&{'and=on&' * 16}end=here#fragment"
)

MARKDOWN = r"""# Every construct, as it streams

A paragraph with *emphasis*, **strong emphasis**, ***both***, ~~a deletion~~, `inline code`,
a ``code ` with a backtick``, an escaped \*asterisk\*, and an entity: &copy; &amp; &lt;b&gt;.
A soft line break above,
and a hard one below,\
made with a backslash.

Setext heading, first level
===========================

Setext heading, second level
----------------------------

### Third level
#### Fourth level
##### Fifth level
###### Sixth level

---

## Lists

- a point
- another with `code`
  - nested
    - and nested again

    A paragraph inside the list item.
- the last one

1. first
2. second
   1. second, first
   2. second, second
3. third

7. a list that starts at seven
8. and goes on

- [x] done
- [ ] still to do

## Quotes

> A quotation with **strong** words.
>
> > A quotation inside the quotation.
>
> - and a list
>
> ```text
> and code
> ```

## Links and images

[An inline link](https://example.com/ "with a title"), [a reference link][ref], a bare <https://example.com/path?a=1&b=2>,
a link that must not work: [no script](javascript:alert(1)), and an image: ![a picture](https://example.com/picture.png).

[ref]: https://example.com/reference

## Code

```python
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    event_id: int
    data: str = "<not a tag> & not an entity"


async def follow(log: "Log", last_event_id: int = -1):
    async for event in log.after(last_event_id):
        yield f"id: {event.event_id}\ndata: {event.data}\n\n"
```

```javascript
const source = new EventSource(`/api/v1/stream?stream_id=${id}`);
source.addEventListener("message_chunk", ({ data, lastEventId }) => {
  sequencer.process(Number(lastEventId), JSON.parse(data));
});
```

```sql
UPDATE streaming_streamhead SET next_event_id = next_event_id + 3
WHERE stream_id = 42 AND attempt = 1 AND next_event_id = 7 AND NOT closed;
```

```rust
fn main() {
    let total: u64 = (1..=10).filter(|n| n % 2 == 0).sum();
    println!("{total}");
}
```

```bash
curl -N -H "Last-Event-ID: 41" "http://127.0.0.1:8000/api/v1/stream?stream_id=$ID" | grep --line-buffered '^data:'
```

```json
{"event": "message_chunk", "id": 0, "data": {"content": "Hello", "tokens": 1, "cost_usd": 6e-07}}
```

```html
<p onclick="alert('never runs')">Markup inside a code block is text.</p>
```

```diff
- a stream that dies with its connection
+ a stream that does not
```

    Indented code, four blanks deep.

~~~
A fence of tildes, with no language.
~~~

## A table

| construct | left | centre | right |
|---|:---|:---:|---:|
| number | 1 | 22 | 333 |
| `code` | a \| pipe | **strong** | *soft* |
| emoji | 🧵 | 🪄✨ | 👩🏽‍🚀 |

## A long line

LONG_LINE

## Other scripts

- العربية: هذا نص من اليمين إلى اليسار، مع **كلمة بارزة** و`code` في الوسط.
- עברית: זהו טקסט מימין לשמאל, עם מספר 42 באמצע.
- 日本語: ストリームは切れても続きます。
- 中文: 连接断了也没关系，答案会继续。
- हिन्दी: यह उत्तर खोता नहीं है।
- Ελληνικά, кириллица, Tiếng Việt, Türkçe: İıĞğŞş.
- Emoji: 😀 🧙‍♂️ 👨‍👩‍👧‍👦 🏳️‍🌈 🇪🇺 ❤️ 1️⃣ and combining marks: é ñ ö.

## Raw HTML and other trouble

<script>document.title = "this must never run"</script>
<img src="x" onerror="document.title = 'nor this'">

Text that looks like a frame, and is only text:

data: {"content":"not an event"}
id: 999
event: done

## Mathematics as text

$E = mc^2$ and $$\sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}$$

***

That was everything. Nobody is charged for it.
""".replace("LONG_LINE", _LONG_LINE)
