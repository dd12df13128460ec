#!lua flags=allow-oom
-- Shows the end of a log that is closed and kept elsewhere, and lets it expire soon.
-- KEYS: the events; their head. ARGV: first event id; seconds to keep it; then type, data, elapsed_ms of each event.
-- Answers closed; gone where there is no such log. Events that do not fit the end are dropped with all before them.
local next, keep = tonumber(ARGV[1]), ARGV[2]
local state = redis.call('HGET', KEYS[2], 'state')
if not state then return 'gone' end
if state == 'closed' then return 'closed' end
local fits = redis.call('XLEN', KEYS[1]) == next and tonumber(redis.call('HGET', KEYS[2], 'end')) == next
if not fits then redis.call('DEL', KEYS[1]) end
for at = 3, #ARGV, 3 do
  next = next + 1
  if fits then
    redis.call('XADD', KEYS[1], string.format('%.0f-0', next), 't', ARGV[at], 'd', ARGV[at + 1], 'm', ARGV[at + 2])
  end
end
redis.call('HSET', KEYS[2], 'end', string.format('%.0f', next), 'state', 'closed')
redis.call('EXPIRE', KEYS[1], keep)
redis.call('EXPIRE', KEYS[2], keep)
return 'closed'
