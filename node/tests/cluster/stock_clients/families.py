"""What an application asks of every family of commands, through redis-py.

Usage: families.py PORT cluster|single PROTOCOL. Prints `fine`; anything else is a failure.
Keys of one family share a hash tag, so that the same words go to both layouts.
"""

import sys
import threading

import redis
import redis.connection
from redis.cache import CacheConfig
from redis.cluster import RedisCluster

PORT, LAYOUT, PROTOCOL = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
CLUSTER = LAYOUT == "cluster"


def connect(**options):
    kind = RedisCluster if CLUSTER else redis.Redis
    options = {"decode_responses": True, **options}
    return kind(host="127.0.0.1", port=PORT, protocol=PROTOCOL, **options)


def pairs(reply):
    """Members with scores, however the protocol and the client's version nest them."""
    return [tuple(entry) for entry in reply]


def refused(error, text, call, *arguments):
    try:
        reply = call(*arguments)
    except error as refusal:
        assert text in str(refusal), refusal
        return
    raise AssertionError(f"answered {reply!r} instead of {text!r}")


def strings(client):
    assert client.set("{s}a", "1", nx=True, ex=100) is True
    assert client.set("{s}a", "2", nx=True) is None
    assert client.set("{s}a", "2", get=True, keepttl=True) == "1"
    assert 0 < client.ttl("{s}a") <= 100 and client.expiretime("{s}a") > 10**9
    assert client.incrby("{s}a", 5) == 7 and client.decr("{s}a") == 6
    assert float(client.incrbyfloat("{s}f", "10.5")) == 10.5
    assert client.append("{s}text", "hello") == 5
    assert client.setrange("{s}text", 1, "ipp") == 5 and client.get("{s}text") == "hippo"
    assert client.getrange("{s}text", -3, -1) == "ppo" and client.strlen("{s}text") == 5
    assert client.mset({"{s}x": "1", "{s}y": "2"}) is True
    assert client.mget("{s}x", "{s}none", "{s}y") == ["1", None, "2"]
    assert client.msetnx({"{s}y": "3", "{s}z": "3"}) in (False, 0)
    assert client.getex("{s}x", px=100000) == "1" and client.pttl("{s}x") > 0
    assert client.getdel("{s}x") == "1" and client.exists("{s}x") == 0
    assert client.lcs("{s}text", "{s}text", len=True) == 5
    refused(redis.ResponseError, "not an integer", client.incr, "{s}text")


def keys(client):
    client.set("{k}a", "1")
    assert client.type("{k}a") == "string" and client.object("encoding", "{k}a") == "int"
    assert client.rename("{k}a", "{k}b") is True and client.copy("{k}b", "{k}c") is True
    assert client.expire("{k}b", 100) is True and client.expire("{k}b", 50, nx=True) is False
    assert client.persist("{k}b") is True and client.ttl("{k}b") == -1
    payload = connect(decode_responses=False).dump("{k}b")
    assert client.restore("{k}d", 0, payload) in (True, "OK")
    assert client.get("{k}d") == "1" and client.touch("{k}b", "{k}d") == 2
    for index in range(500):
        client.set(f"walk:{index}", index)
    walked = set(client.scan_iter(match="walk:*", count=50))
    assert walked == {f"walk:{index}" for index in range(500)}
    assert client.delete(*walked) == 500
    assert client.unlink("{k}b", "{k}c", "{k}d") == 3


def hashes(client):
    assert client.hset("{h}a", mapping={"f": "1", "g": "2"}) == 2
    assert client.hgetall("{h}a") == {"f": "1", "g": "2"}
    assert client.hmget("{h}a", "g", "none") == ["2", None]
    assert client.hincrby("{h}a", "f", 4) == 5
    assert float(client.hincrbyfloat("{h}a", "f", "0.5")) == 5.5
    assert client.hsetnx("{h}a", "f", "9") in (False, 0)
    assert client.hexists("{h}a", "f") is True and client.hstrlen("{h}a", "g") == 1
    assert sorted(client.hkeys("{h}a")) == ["f", "g"] and client.hlen("{h}a") == 2
    assert client.hexpire("{h}a", 100, "f") == [1] and client.httl("{h}a", "g") == [-1]
    assert client.hpersist("{h}a", "f") == [1]
    drawn = client.hrandfield("{h}a", 2, withvalues=True)
    assert "5.5" in str(drawn) and "2" in str(drawn)
    client.hset("{h}big", mapping={f"f{index}": index for index in range(1000)})
    walked = dict(client.hscan_iter("{h}big", count=100))
    assert walked == {f"f{index}": str(index) for index in range(1000)}
    assert client.hdel("{h}a", "f", "g") == 2 and client.exists("{h}a") == 0


def lists(client):
    assert client.rpush("{l}a", "a", "b", "c") == 3 and client.lpush("{l}a", "z") == 4
    assert client.lrange("{l}a", 0, -1) == ["z", "a", "b", "c"]
    assert client.lmove("{l}a", "{l}b", "LEFT", "RIGHT") == "z"
    assert client.linsert("{l}a", "before", "b", "x") == 4 and client.lpos("{l}a", "b") == 2
    assert client.lset("{l}a", 0, "A") is True and client.lindex("{l}a", 0) == "A"
    assert client.lrem("{l}a", 1, "x") == 1 and client.ltrim("{l}a", 0, 1) is True
    assert client.rpoplpush("{l}a", "{l}b") == "b" and client.llen("{l}b") == 2
    assert client.lmpop(2, "{l}none", "{l}b", direction="LEFT", count=2) == ["{l}b", ["b", "z"]]
    assert client.rpop("{l}a", 2) == ["A"] and client.lpop("{l}a") is None
    client.rpush("{l}sort", 3, 1, 2)
    assert client.sort("{l}sort", desc=True) == ["3", "2", "1"]
    refused(redis.ResponseError, "WRONGTYPE", client.hget, "{l}sort", "f")


def blocking(client):
    other = connect()
    later = threading.Thread(target=lambda: other.rpush("{b}a", "1", "2"))
    later.start()
    assert tuple(client.blpop(["{b}none", "{b}a"], timeout=20)) == ("{b}a", "1")
    later.join()
    assert client.blmove("{b}a", "{b}c", 20, "LEFT", "RIGHT") == "2"
    later = threading.Thread(target=lambda: other.zadd("{b}z", {"m": 1.5}))
    later.start()
    key, member, score = client.bzpopmin("{b}z", timeout=20)
    assert (key, member, float(score)) == ("{b}z", "m", 1.5)
    later.join()
    later = threading.Thread(target=lambda: other.xadd("{b}x", {"f": "v"}, id="5-1"))
    later.start()
    reply = client.xread({"{b}x": "0"}, block=20000)
    assert "5-1" in str(reply), reply
    later.join()
    assert client.blpop("{b}none", timeout=0.05) is None
    other.close()


def sets(client):
    assert client.sadd("{e}a", "1", "2", "3") == 3 and client.sadd("{e}b", "2", "x") == 2
    assert client.smembers("{e}a") == {"1", "2", "3"}
    assert client.sinter("{e}a", "{e}b") == {"2"} and client.sdiff("{e}a", "{e}b") == {"1", "3"}
    assert client.sunionstore("{e}c", "{e}a", "{e}b") == 4
    assert client.sintercard(2, ["{e}a", "{e}b"]) == 1
    assert client.smismember("{e}a", ["1", "x"]) == [1, 0]
    assert client.smove("{e}a", "{e}b", "1") is True and client.scard("{e}b") == 3
    assert client.spop("{e}a", 2) in (["2", "3"], ["3", "2"], {"2", "3"})
    assert len(client.srandmember("{e}c", -10)) == 10
    assert set(client.sscan_iter("{e}c", match="[123]")) == {"1", "2", "3"}


def sorted_sets(client):
    assert client.zadd("{z}a", {"a": 1, "b": 2, "c": 3}) == 3
    assert client.zadd("{z}a", {"a": 5}, gt=True, ch=True) == 1
    assert float(client.zadd("{z}a", {"a": 1.5}, incr=True)) == 6.5
    scored = [("b", 2.0), ("c", 3.0), ("a", 6.5)]
    assert pairs(client.zrange("{z}a", 0, -1, withscores=True)) == scored
    assert pairs(client.zrevrange("{z}a", 0, 0, withscores=True)) == [("a", 6.5)]
    assert client.zrange("{z}a", "(2", "+inf", byscore=True, offset=0, num=1) == ["c"]
    assert client.zrank("{z}a", "a") == 2 and list(client.zrank("{z}a", "c", True)) == [1, 3.0]
    assert client.zscore("{z}a", "a") == 6.5 and client.zmscore("{z}a", ["b", "x"]) == [2.0, None]
    assert client.zcount("{z}a", 2, 3) == 2 and client.zlexcount("{z}a", "-", "+") == 3
    client.zadd("{z}b", {"b": 10, "d": 4})
    assert client.zunionstore("{z}c", {"{z}a": 1, "{z}b": 2}) == 4
    assert client.zscore("{z}c", "b") == 22.0
    assert client.zinter(["{z}a", "{z}b"]) == ["b"] and client.zdiff(["{z}b", "{z}a"]) == ["d"]
    assert pairs(client.zpopmax("{z}c", 1)) == [("b", 22.0)]
    key, members = client.zmpop(2, ["{z}none", "{z}c"], min=True)
    assert key == "{z}c" and "c" in str(members)
    assert client.zrangestore("{z}d", "{z}a", 0, 1) == 2
    assert client.zremrangebyscore("{z}a", 2, 3) == 2 and client.zrem("{z}a", "a") == 1
    assert dict(client.zscan_iter("{z}b")) == {"b": 10.0, "d": 4.0}


def streams(client):
    for index in range(1, 6):
        assert client.xadd("{x}a", {"n": index}, id=f"{index}-0") == f"{index}-0"
    assert client.xlen("{x}a") == 5
    assert client.xrange("{x}a", "(1", count=1) == [("2-0", {"n": "2"})]
    assert client.xgroup_create("{x}a", "g", id="0") is True
    assert "3-0" in str(client.xreadgroup("g", "c", {"{x}a": ">"}, count=3))
    assert client.xack("{x}a", "g", "1-0", "2-0") == 2
    pending = client.xpending("{x}a", "g")
    assert pending["pending"] == 1 and pending["consumers"] == [{"name": "c", "pending": 1}]
    claimed = client.xautoclaim("{x}a", "g", "d", 0)
    assert claimed[0] == "0-0" and claimed[1] == [("3-0", {"n": "3"})]
    entry = client.xpending_range("{x}a", "g", "-", "+", 10)[0]
    assert entry["consumer"] == "d" and entry["times_delivered"] == 2
    assert client.xinfo_stream("{x}a")["length"] == 5
    assert client.xinfo_groups("{x}a")[0]["lag"] == 2
    assert client.xtrim("{x}a", maxlen=2, approximate=False) == 3 and client.xdel("{x}a", "4-0") == 1
    refused(redis.ResponseError, "BUSYGROUP", client.xgroup_create, "{x}a", "g")


def bits_and_places(client):
    assert client.setbit("{m}a", 7, 1) == 0 and client.bitcount("{m}a") == 1
    assert client.bitpos("{m}a", 1) == 7
    field = client.bitfield("{m}f").set("u8", 0, 200).incrby("u8", 0, 100)
    assert field.execute() == [0, 44]
    assert client.bitop("NOT", "{m}n", "{m}a") == 1
    assert client.pfadd("{m}h", *range(1000)) == 1 and 980 < client.pfcount("{m}h") < 1020
    assert client.pfmerge("{m}i", "{m}h") is True
    places = (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")
    assert client.geoadd("{m}g", places) == 2
    assert abs(client.geodist("{m}g", "Palermo", "Catania", "km") - 166.2742) < 0.001
    near = client.geosearch("{m}g", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
    assert near == ["Catania", "Palermo"]
    assert client.geohash("{m}g", "Palermo") == ["sqc8b49rny0"]


def transactions(client):
    with client.pipeline(transaction=True) as pipeline:
        pipeline.set("{t}a", 1).incr("{t}a").lpush("{t}l", "x").get("{t}a")
        replies = pipeline.execute()
        assert replies[0] in (True, "OK") and replies[1:] == [2, 1, "2"], replies
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch("{t}a")
        before = int(pipeline.get("{t}a"))
        client.incr("{t}a")
        pipeline.multi()
        pipeline.set("{t}a", before + 100)
        refused(redis.WatchError, "", pipeline.execute)
    client.transaction(lambda p: (p.multi(), p.incr("{t}a")), "{t}a")
    assert client.get("{t}a") == "4"
    with client.pipeline(transaction=True) as pipeline:
        pipeline.incr("{t}a").incr("{t}l")
        refused(redis.ResponseError, "WRONGTYPE", pipeline.execute)
    assert client.get("{t}a") == "5"


def pipelines(client):
    pipeline = client.pipeline(transaction=False)
    for index in range(200):
        pipeline.set(f"p:{index}", index)
        pipeline.incr(f"p:{index}")
    assert pipeline.execute() == [v for n in range(200) for v in (True, n + 1)]
    pipeline = client.pipeline(transaction=False)
    pipeline.get("p:7").hget("p:7", "f").get("p:9")
    replies = pipeline.execute(raise_on_error=False)
    assert replies[0] == "8" and replies[2] == "10" and "WRONGTYPE" in str(replies[1])


def scripts(client):
    script = "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('GET', KEYS[1])}"
    assert client.eval(script, 1, "{v}a", "7") == ["{v}a", "7"]
    registered = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert registered(keys=["{v}a"], args=[3]) == 10 and registered(keys=["{v}a"], args=[1]) == 11
    refused(redis.ResponseError, "no", client.eval, "return redis.error_reply('ERR no')", 0)
    library = "#!lua name=stock\nredis.register_function('twice', function(keys, args)\n"
    library += "return redis.call('INCRBY', keys[1], 2 * args[1]) end)"
    loaded = client.function_load(library, replace=True)
    assert "stock" in str(loaded)
    assert client.fcall("twice", 1, "{v}n", 21) == 42


def locks(client):
    lock = client.lock("{lock}a", timeout=30)
    assert lock.acquire(blocking=False) is True and lock.owned()
    assert client.lock("{lock}a", timeout=30).acquire(blocking=False) is False
    assert lock.extend(10, replace_ttl=True) is True and lock.reacquire() is True
    lock.release()
    refused(redis.exceptions.LockError, "", lock.release)


def messages(client):
    listener = client.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n?ws")
    heard = [until(listener.get_message)["type"] for _ in range(2)]
    assert heard == ["subscribe", "psubscribe"]
    connect().publish("news", "hello")
    heard = {until(listener.get_message)["type"] for _ in range(2)}
    assert heard == {"message", "pmessage"}
    listener.close()
    listener = client.pubsub()
    listener.ssubscribe("{c}shard")
    receive = listener.get_sharded_message if CLUSTER else listener.get_message
    assert until(receive)["type"] == "ssubscribe"
    connect().spublish("{c}shard", "hello")
    heard = until(receive)
    assert heard["type"] == "smessage" and heard["data"] == "hello", heard
    listener.close()


def until(receive):
    for _ in range(200):
        message = receive(timeout=0.1)
        if message is not None:
            return message
    raise AssertionError("no message within 20 s")


def caching(client):
    if PROTOCOL != 3:
        return
    # The client asks for 7.4 by number; what it uses is there.
    redis.connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "7.2.0"
    cached, other = connect(cache_config=CacheConfig()), connect()
    other.set("{n}a", "1")
    assert cached.get("{n}a") == "1" and cached.get("{n}a") == "1"
    other.set("{n}a", "2")
    for _ in range(2000):
        if cached.get("{n}a") == "2":
            break
    else:
        raise AssertionError("the cached value stays")
    cached.close()


def values_of_bytes(_):
    client = connect(decode_responses=False)
    value = bytes(range(256)) * 400
    assert client.set(b"{y}\x00\xff", value) is True and client.get(b"{y}\x00\xff") == value
    assert client.hset("{y}h", value[:300], value) == 1 and client.hget("{y}h", value[:300]) == value


def server(client):
    here = {"target_nodes": client.get_default_node()} if CLUSTER else {}
    assert client.ping() is True and client.echo("x", **here) == "x"
    mode = client.info("server", **here)["redis_mode"]
    assert mode == ("cluster" if CLUSTER else "standalone")
    assert client.config_set("slowlog-max-len", 64) is True
    assert "64" in str(client.config_get("slowlog-max-len"))
    assert client.client_setname("stock", **here) in (True, [True])
    assert client.command_count(**here) > 200 and len(client.time(**here)) == 2
    primaries = {"target_nodes": RedisCluster.PRIMARIES} if CLUSTER else {}
    assert client.dbsize(**primaries) > 20 and client.flushdb()
    assert client.dbsize(**primaries) == 0


if __name__ == "__main__":
    shared = connect()
    shared.flushall()
    for family in (
        strings, keys, hashes, lists, blocking, sets, sorted_sets, streams, bits_and_places,
        transactions, pipelines, scripts, locks, messages, caching, values_of_bytes, server,
    ):  # fmt: skip
        family(shared)
    print("fine")
