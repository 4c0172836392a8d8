-- What stands next to a place in a job's log. Sealing moves pieces from the stream into a segment, so where they are is asked together with what they
-- are, at one moment: a reader that asks for what follows its last piece meets each piece once, whatever is sealed meanwhile.
-- ARGV: prefix, id, 'after' or 'before', id of a piece (or '' for the beginning or the end), most pieces, most bytes (at least one piece comes).
-- Returns {'pieces', entries, nearest first} (none: nothing stands there), or {'segment', its entry in the index}.
local log, index = job_key(ARGV[2]) .. ':log', job_key(ARGV[2]) .. ':segments'
local forward, place, most, most_bytes = ARGV[3] == 'after', ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])

local function is_before(a, b)
  local a_epoch, a_number = string.match(a, '^(%d+)-(%d+)$')
  local b_epoch, b_number = string.match(b, '^(%d+)-(%d+)$')
  if a_epoch ~= b_epoch then return tonumber(a_epoch) < tonumber(b_epoch) end
  return tonumber(a_number) < tonumber(b_number)
end

-- The number of the first segment for which `test` holds, as it does for all that follow it; the count of all where there is none.
local function find_first(test)
  local from, to = 0, redis.call('LLEN', index)
  while from < to do
    local middle = math.floor((from + to) / 2)
    if test(cjson.decode(redis.call('LINDEX', index, middle))) then to = middle else from = middle + 1 end
  end
  return from
end

local function read_stream()
  local found, size, from = {}, 0, place == '' and (forward and '-' or '+') or '(' .. place
  while #found < most do
    local count = math.min(16, most - #found)
    local page = forward and redis.call('XRANGE', log, from, '+', 'COUNT', count) or redis.call('XREVRANGE', log, from, '-', 'COUNT', count)
    for _, entry in ipairs(page) do
      size = size + #entry[2][6]
      if #found > 0 and size > most_bytes then return found end
      found[#found + 1] = entry
    end
    if #page < count then return found end
    from = '(' .. page[#page][1]
  end
  return found
end

-- The index of a job that is kept elsewhere may be lent to us without its record.
local function find_sealed()
  local sealed = redis.call('HGET', job_key(ARGV[2]), 'log_sealed')
  local last = not sealed and redis.call('LINDEX', index, -1)
  return sealed or last and cjson.decode(last).last
end

if forward then
  local sealed = find_sealed()
  if sealed and (place == '' or is_before(place, sealed)) then
    local at = place == '' and 0 or find_first(function(segment) return is_before(place, segment.last) end)
    local segment = redis.call('LINDEX', index, at)
    if segment then return { 'segment', segment } end
  end
  return { 'pieces', read_stream() }
end
local found = read_stream()
if #found > 0 then return { 'pieces', found } end
local beyond = place == '' and redis.call('LLEN', index) or find_first(function(segment) return not is_before(segment.first, place) end)
local segment = beyond > 0 and redis.call('LINDEX', index, beyond - 1)
return segment and { 'segment', segment } or { 'pieces', {} }
