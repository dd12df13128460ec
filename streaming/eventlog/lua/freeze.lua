#!lua flags=allow-oom
-- Ends the appends to a log, so that it can be kept whole. Where there is none it makes one that is frozen.
-- KEYS: the events; their head. ARGV: attempt; the end where it has to stand, -1 for any; seconds to keep it.
-- Answers frozen, fenced, closed or gone, and the end.
local attempt, wanted, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local head = redis.call('HMGET', KEYS[2], 'attempt', 'end', 'state')
local now_attempt, next, state = head[1], tonumber(head[2]), head[3]
if not state then
  if wanted > 0 then return {'gone', 0} end
  redis.call('DEL', KEYS[1])
  now_attempt, next = attempt, 0
end

if state == 'closed' then return {'closed', next} end
if now_attempt ~= attempt or (wanted >= 0 and wanted ~= next) then return {'fenced', next} end
redis.call('HSET', KEYS[2], 'attempt', attempt, 'end', string.format('%.0f', next), 'state', 'frozen')
redis.call('EXPIRE', KEYS[1], keep)
redis.call('EXPIRE', KEYS[2], keep)
return {'frozen', next}
