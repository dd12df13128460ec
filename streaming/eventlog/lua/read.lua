#!lua flags=no-writes
-- Reads on after an event, together with the head.
-- KEYS: the events; their head. ARGV: event id; the most bytes of frames, more only for a single one.
-- Answers the state (empty: there is no such log), the end, and id, type, data, elapsed_ms of each entry.
local after, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local head = redis.call('HMGET', KEYS[2], 'end', 'state')
if not head[2] then return {'', 0} end
local answer = {head[2], tonumber(head[1])}
local from = string.format('%.0f-0', after + 2)
while room > 0 do
  local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 64)
  for n = 1, #entries do
    local fields = entries[n][2]
    room = room - #fields[4] - 64
    if room < 0 and #answer > 2 then return answer end
    answer[#answer + 1] = entries[n][1]
    answer[#answer + 1] = fields[2]
    answer[#answer + 1] = fields[4]
    answer[#answer + 1] = fields[6]
  end
  if #entries < 64 then break end
  from = '(' .. entries[64][1]
end
return answer
