"""Counts through redis-py while the cluster changes, and checks that nothing counted is lost.

Usage: at_work.py PORT cluster | at_work.py PORT single OTHER_PORT. Prints `at work` once it is,
reads a line when the change is over, and prints `fine` in the end.
"""

import itertools
import sys
import threading
import time

import redis
from redis.backoff import ConstantBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

PORTS, LAYOUT = [int(sys.argv[1]), *map(int, sys.argv[3:])], sys.argv[2]
COUNTERS = [f"counter:{index}" for index in range(60)]
PATIENCE_S = 30



def connect(port):
    retry = Retry(ConstantBackoff(0.05), 20)
    if LAYOUT == "cluster":
        return RedisCluster(host="127.0.0.1", port=port, decode_responses=True, retry=retry)
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True)


def count(clients, key):
    """Adds one; what is counted may be more than what is acknowledged, never less."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            return clients[0].incr(key)
        except redis.RedisError as trouble:
            if time.monotonic() > give_up:
                raise AssertionError(f"{key}: no answer for {PATIENCE_S} s") from trouble
            # A single shard is reached through whichever member is primary now.
            clients.append(clients.pop(0))
            time.sleep(0.01)


def main():
    clients = [connect(port) for port in PORTS]
    acknowledged = dict.fromkeys(COUNTERS, 0)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    rounds_after = 0
    for number in itertools.count():
        for key in COUNTERS:
            counted = count(clients, key)
            assert counted > acknowledged[key], f"{key} went back to {counted}"
            acknowledged[key] = counted
        if number == 2:
            print("at work", flush=True)
        rounds_after += over.is_set()
        if rounds_after == 3:
            break
    for key in COUNTERS:
        assert int(clients[0].get(key)) == acknowledged[key], key
    print("fine", flush=True)


main()
