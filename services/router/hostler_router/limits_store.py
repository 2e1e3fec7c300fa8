"""Limits in Valkey, where all routers count together: the programs, and what they are sent and answer.

One program decides for a key and its project in one step, by Valkey's own clock; `limit_rules` says what it computes. Of a
subject NAME (`{PROJECT}:key:ID` or `{PROJECT}:project`) there are two keys, and both expire by themselves:

    hostler:limits:NAME:rates  hash: how full the buckets are (`requests`, `tokens`) and when that was (`at`, in
                               microseconds); gone when they have run dry, which is in two minutes at most
    hostler:limits:NAME:slots  sorted set: the requests under way, each until its lease ends

Called by `limits` alone.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from hostler_kit.valkey import Argument, Script, ScriptCall, Valkey
from hostler_router.limit_grants import Room, Wanted
from hostler_router.limit_rules import Asked, Level, Outcome, Subject

PREFIX: Final = "hostler:limits"
ROUND_TRIP_SECONDS_MAX: Final = 1.0
"""After which one is given up and its connection closed; no request waits for so long."""
SERVER_TIME: Final = "local time = redis.call('TIME') local now = time[1] * 1e6 + time[2]"
"""Sets `now` in microseconds."""

# Numbers are written with 17 digits, which is all that a double has; Lua's own form would round the time to minutes.
_BUCKETS: Final = """
local function load(rates, rpm, tpm)
  local level = {requests = 0, tokens = 0, went_back = false}
  if rpm == 0 and tpm == 0 then return level end
  local stored = redis.call('HMGET', rates, 'requests', 'tokens', 'at')
  local at = tonumber(stored[3]) or now
  level.went_back = at > now
  local minutes = math.max(now - at, 0) / 60e6
  if rpm > 0 then level.requests = math.max((tonumber(stored[1]) or 0) - minutes * rpm, 0) end
  if tpm > 0 then level.tokens = math.max((tonumber(stored[2]) or 0) - minutes * tpm, 0) end
  return level
end
local function text(number) return string.format('%.17g', number) end
local function save(rates, level, rpm, tpm)
  if rpm == 0 and tpm == 0 then return end
  local minutes = math.max(rpm > 0 and level.requests / rpm or 0, tpm > 0 and level.tokens / tpm or 0)
  redis.call('HSET', rates, 'requests', text(level.requests), 'tokens', text(level.tokens), 'at', text(now))
  redis.call('PEXPIRE', rates, math.ceil(minutes * 60000) + 1000)
end
"""

# KEYS: rates and slots of each subject. ARGV: request, tokens, milliseconds of a lease; then of each subject its three limits, 0 for none.
_ADMIT: Final = """
local request, tokens, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local subjects, fits = {}, true
for i = 1, #KEYS, 2 do
  local first = 4 + (i - 1) / 2 * 3
  local rpm, tpm, slots_max = tonumber(ARGV[first]), tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
  local level = load(KEYS[i], rpm, tpm)
  level.slots = 0
  if slots_max > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[i + 1], '-inf', text(now / 1000))
    level.slots = redis.call('ZCARD', KEYS[i + 1])
  end
  fits = fits and (rpm == 0 or level.requests + 1 <= rpm) and (tpm == 0 or level.tokens + tokens <= tpm)
    and (slots_max == 0 or level.slots < slots_max)
  subjects[#subjects + 1] = {rates = KEYS[i], slots = KEYS[i + 1], level = level, rpm = rpm, tpm = tpm, slots_max = slots_max}
end
local answer = {fits and 1 or 0}
for _, each in ipairs(subjects) do
  local level = each.level
  if fits then
    if each.rpm > 0 then level.requests = level.requests + 1 end
    if each.tpm > 0 then level.tokens = level.tokens + tokens end
    if each.slots_max > 0 then
      redis.call('ZADD', each.slots, text(now / 1000 + lease_ms), request)
      redis.call('PEXPIRE', each.slots, lease_ms)
      level.slots = level.slots + 1
    end
  end
  -- A clock that went back would let nothing leak until it has caught up; it starts from here instead.
  if fits or level.went_back then save(each.rates, level, each.rpm, each.tpm) end
  answer[#answer + 1] = text(level.requests)
  answer[#answer + 1] = text(level.tokens)
  answer[#answer + 1] = level.slots
end
return answer
"""

# KEYS: rates of each subject. ARGV: requests and tokens at most, requests and tokens at least, into how many parts what is left is divided;
# then of each subject its limits on requests and tokens.
_GRANT: Final = """
local requests, tokens, parts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local subjects = {}
for i = 1, #KEYS do
  local rpm, tpm = tonumber(ARGV[4 + 2 * i]), tonumber(ARGV[5 + 2 * i])
  local level = load(KEYS[i], rpm, tpm)
  if rpm > 0 then requests = math.min(requests, math.floor((rpm - level.requests) / parts)) end
  if tpm > 0 then tokens = math.min(tokens, math.floor((tpm - level.tokens) / parts)) end
  subjects[i] = {level = level, rpm = rpm, tpm = tpm}
end
local fits = requests >= tonumber(ARGV[3]) and tokens >= tonumber(ARGV[4]) and requests + tokens > 0
local answer = {fits and requests or 0, fits and tokens or 0}
for i, each in ipairs(subjects) do
  local level = each.level
  if fits then
    if each.rpm > 0 then level.requests = level.requests + requests end
    if each.tpm > 0 then level.tokens = level.tokens + tokens end
  end
  if fits or level.went_back then save(KEYS[i], level, each.rpm, each.tpm) end
  answer[#answer + 1] = text(level.requests)
  answer[#answer + 1] = text(level.tokens)
end
return answer
"""

# KEYS: as for a request. ARGV: tokens used beyond those set aside, requests that were counted and not made; then of each subject its limits on
# requests and tokens; then requests.
_SETTLE: Final = """
local tokens, unused, first = tonumber(ARGV[1]), tonumber(ARGV[2]), 3 + #KEYS
for i = 1, #KEYS, 2 do
  local rpm, tpm = tonumber(ARGV[2 + i]), tonumber(ARGV[3 + i])
  if #ARGV >= first then redis.call('ZREM', KEYS[i + 1], unpack(ARGV, first)) end
  if (tpm > 0 and tokens ~= 0) or (rpm > 0 and unused > 0) then
    local level = load(KEYS[i], rpm, tpm)
    if tpm > 0 then level.tokens = math.min(math.max(level.tokens + tokens, 0), 2 * tpm) end
    if rpm > 0 then level.requests = math.max(level.requests - unused, 0) end
    save(KEYS[i], level, rpm, tpm)
  end
end
return 1
"""

# KEYS: slots. ARGV: milliseconds of a lease, requests. Adds what is not there: it was lost, or began while Valkey was away.
_RENEW: Final = """
local lease_ms = tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], text(now / 1000 + lease_ms), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], lease_ms)
return 1
"""

_PING: Final = ScriptCall(Script("return 1"), (), ())


class LimitStore:
    """Makes the calls of the programs and reads their answers."""

    def __init__(self, valkey: Valkey, *, lease_seconds: float, time: str = SERVER_TIME) -> None:
        self._valkey = valkey
        self._lease_ms = round(lease_seconds * 1000)
        self._admit = Script(time + _BUCKETS + _ADMIT)
        self._grant = Script(time + _BUCKETS + _GRANT)
        self._settle = Script(time + _BUCKETS + _SETTLE)
        self._renew = Script(time + _BUCKETS + _RENEW)

    def admit_call(self, asked: Asked) -> ScriptCall:
        """Decide and count."""
        args: list[Argument] = [asked.request, asked.tokens, self._lease_ms]
        for subject in asked.subjects:
            args.extend(value or 0 for _, value in subject.limits.items())
        return ScriptCall(self._admit, _keys(asked.subjects), tuple(args))

    def grant_call(self, subjects: Sequence[Subject], wanted: Wanted) -> ScriptCall:
        """Take room in advance, as `limit_grants.given` computes it."""
        args = (wanted.requests, wanted.tokens, wanted.requests_min, wanted.tokens_min, wanted.parts)
        keys = tuple(f"{PREFIX}:{subject.name}:rates" for subject in subjects)
        return ScriptCall(self._grant, keys, (*args, *_minute_bounds(subjects)))

    def settle_call(
        self, subjects: Sequence[Subject], requests: Sequence[str], tokens: int, *, unused: int = 0
    ) -> ScriptCall:
        """Give slots of requests back, of some hundreds at most, count `tokens` more than were set aside, and `unused` requests less."""
        args: list[Argument] = [tokens, unused, *_minute_bounds(subjects), *requests]
        return ScriptCall(self._settle, _keys(subjects), tuple(args))

    def renew_call(self, subject: str, requests: Sequence[str]) -> ScriptCall:
        """Keep the slots of requests under way."""
        return ScriptCall(self._renew, (f"{PREFIX}:{subject}:slots",), (self._lease_ms, *requests))

    async def run(self, calls: Sequence[ScriptCall]) -> list[object]:
        """All of them in one round trip.

        Raises:
            ValkeyUnavailable: Valkey did not do it, or nobody knows.
        """
        return await self._valkey.run_scripts(calls)

    async def prepare(self) -> None:
        """Make a connection and have Valkey know the programs.

        Raises:
            ValkeyUnavailable: it is not there.
        """
        await self._valkey.load_scripts((self._admit, self._grant, self._settle, self._renew))

    async def ping(self) -> None:
        """See whether it is there.

        Raises:
            ValkeyUnavailable: it is not.
        """
        await self._valkey.run_scripts((_PING,))

    async def close(self) -> None:
        """End its connections."""
        await self._valkey.close()


def outcome_of(answer: object) -> Outcome:
    """What `admit_call` was answered."""
    if not isinstance(answer, list):
        raise TypeError(f"the limits' program answered {type(answer).__name__}")
    admitted, *fields = answer
    levels = (
        Level(float(fields[i]), float(fields[i + 1]), int(fields[i + 2])) for i in range(0, len(fields), 3)
    )
    return Outcome(admitted == 1, tuple(levels))


def room_of(answer: object) -> tuple[Room, tuple[Level, ...]]:
    """What `grant_call` was answered: what it gives, and how full the buckets are with that."""
    if not isinstance(answer, list):
        raise TypeError(f"the limits' program answered {type(answer).__name__}")
    requests, tokens, *fields = answer
    levels = (Level(float(fields[i]), float(fields[i + 1])) for i in range(0, len(fields), 2))
    return Room(int(requests), int(tokens)), tuple(levels)


def _minute_bounds(subjects: Sequence[Subject]) -> Iterator[int]:
    for subject in subjects:
        yield subject.limits.requests_per_minute or 0
        yield subject.limits.tokens_per_minute or 0


def _keys(subjects: Sequence[Subject]) -> tuple[str, ...]:
    return tuple(f"{PREFIX}:{subject.name}:{part}" for subject in subjects for part in ("rates", "slots"))
