"""What few seeds allow to say: means, standard errors, paired differences. Used by ablate.py."""
import math
from dataclasses import dataclass

# Student's t, 97.5 %, for 1 ... 30 degrees of freedom.
T_QUANTILES = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
               2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]


@dataclass
class Estimate:
    """A mean over seeds; the error is None where one seed cannot tell."""

    mean: float
    error: float | None  # standard error of the mean
    count: int

    def interval(self) -> tuple[float, float] | None:
        """95 % by Student's t."""
        if self.error is None:
            return None
        reach = t_quantile(self.count - 1) * self.error
        return self.mean - reach, self.mean + reach


def t_quantile(degrees: int) -> float:
    """97.5 % of Student's t; from 31 degrees on an approximation, 3 digits right."""
    if degrees <= len(T_QUANTILES):
        return T_QUANTILES[degrees - 1]
    return 1.95996 + 2.3722 / degrees + 2.82 / degrees ** 2


def estimate(values: list[float]) -> Estimate | None:
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance / len(values)), len(values))


def paired_difference(values: dict[int, float], baseline: dict[int, float]) -> Estimate | None:
    """values - baseline over the seeds that both have: the same seed means the same data in the same order."""
    return estimate([values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())])
