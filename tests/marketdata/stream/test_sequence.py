"""Any order, any loss, any duplicates: given out once, in order, without a hole."""

from hypothesis import given
from hypothesis import strategies as st

from marketdata.stream.sequence import Sequence


@given(st.lists(st.integers(1, 20), max_size=60), st.integers(0, 20))
def test_gives_out_a_contiguous_prefix_once(arrivals: list[int], start: int) -> None:
    sequence: Sequence[str] = Sequence()
    given_out = [number for number, _ in sequence.start(start)]
    for number in arrivals:
        given_out += [n for n, _ in sequence.offer(number, str(number))]
    assert given_out == list(range(start + 1, start + 1 + len(given_out)))
    missing = start + 1 + len(given_out)
    assert missing not in arrivals
    assert sequence.gap == any(number > missing for number in arrivals)


@given(st.permutations(range(1, 12)), st.integers(0, 11))
def test_what_comes_before_the_start_is_kept(arrivals: list[int], start: int) -> None:
    sequence: Sequence[int] = Sequence()
    for number in arrivals:
        assert sequence.offer(number, number) == []
    assert [number for number, _ in sequence.start(start)] == list(range(start + 1, 12))
    assert not sequence.gap


def test_a_resync_skips_ahead() -> None:
    sequence: Sequence[str] = Sequence()
    sequence.start(3)
    assert sequence.offer(9, "nine") == []
    assert sequence.start(8) == [(9, "nine")]
    assert sequence.last == 9
