from tests.support.own_redis import own_redis_keys

__all__ = ["own_redis_keys"]
