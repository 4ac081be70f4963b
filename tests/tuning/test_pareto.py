import math

from hypothesis import given
from hypothesis import strategies as st

from raysuite.tuning.pareto import pareto_front

FIGURE = st.one_of(st.none(), st.integers(0, 6).map(float), st.just(math.nan))


@given(st.lists(st.tuples(FIGURE, FIGURE), max_size=25))
def test_the_front_is_what_comparing_all_pairs_gives(trials):
    known = [
        i for i, (quality, cost) in enumerate(trials) if None not in {quality, cost} and math.isfinite(quality + cost)
    ]

    def beats(one, other):
        (q, c), (p, d) = trials[one], trials[other]
        return q >= p and c <= d and (q > p or c < d)

    expected = {i for i in known if not any(beats(j, i) for j in known)}
    front = pareto_front([quality for quality, _ in trials], [cost for _, cost in trials])
    assert set(front) == expected
    assert len(front) == len(expected)
    costs = [trials[i][1] for i in front]
    qualities = [trials[i][0] for i in front]
    assert costs == sorted(costs)
    assert qualities == sorted(qualities)


def test_nothing_has_an_empty_front():
    assert pareto_front([], []) == []
