#!lua
-- Appends events to a log, at its very end. The same append again is a success.
-- KEYS: the events; their head. ARGV: attempt; first event id; until when (seconds of this server's clock) the log
-- may be made, 0 where it has been; seconds to keep it; then type, data, elapsed_ms of each event.
-- Answers applied, fenced, frozen, closed, or gone: there is no such log (any more), or not all of it.
local attempt, first, made_until, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local head = redis.call('HMGET', KEYS[2], 'attempt', 'end', 'state')
local now_attempt, next, state = head[1], tonumber(head[2]), head[3]
if not state then
  if first ~= 0 or tonumber(redis.call('TIME')[1]) >= made_until then return 'gone' end
  redis.call('DEL', KEYS[1])
  now_attempt, next, state = attempt, 0, 'open'
end

if now_attempt ~= attempt then return 'fenced' end
if state == 'open' and next == first then
  if redis.call('XLEN', KEYS[1]) ~= next then return 'gone' end
  for at = 5, #ARGV, 3 do
    next = next + 1
    redis.call('XADD', KEYS[1], string.format('%.0f-0', next), 't', ARGV[at], 'd', ARGV[at + 1], 'm', ARGV[at + 2])
  end
  redis.call('HSET', KEYS[2], 'attempt', attempt, 'end', string.format('%.0f', next), 'state', 'open')
  redis.call('EXPIRE', KEYS[1], keep)
  redis.call('EXPIRE', KEYS[2], keep)
  return 'applied'
end

local count = (#ARGV - 4) / 3
if next >= first + count then
  local from, to = string.format('%.0f-0', first + 1), string.format('%.0f-0', first + count)
  local there = redis.call('XRANGE', KEYS[1], from, to)
  local same = #there == count
  for n = 1, #there do
    local fields, at = there[n][2], 2 + 3 * n
    same = same and fields[2] == ARGV[at] and fields[4] == ARGV[at + 1] and fields[6] == ARGV[at + 2]
  end
  if same then return 'applied' end
end
if state == 'open' then return 'fenced' end
return state
