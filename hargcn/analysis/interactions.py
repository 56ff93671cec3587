"""Which players act together: pairwise interactions, averaged over windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hargcn.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Together:
    """Mean interactions of the players of some windows.

    Attributes
    ----------
    names : (players,)
        Of the players.
    matrix : (players, players)
        Mean interaction, symmetric; on the diagonal what a player gives alone.
    agreeing : (players, players)
        Share of windows whose interaction has the sign of the mean.
    windows : int
        How many.
    index : str
        "k-SII" or "STII".
    utility : str
        The score that they are of.
    joints : (players, joint) bool
        Which joints a player has.
    persons : (players, person) bool
        Which persons.
    """

    names: tuple[str, ...]
    matrix: np.ndarray
    agreeing: np.ndarray
    windows: int
    index: str
    utility: str
    joints: np.ndarray
    persons: np.ndarray

    @classmethod
    def of(cls, explanation: Explanation) -> Together:
        """Average the interactions that an explanation holds.

        Raises
        ------
        ValueError
            For an explanation without, and interactions that are no numbers.
        """
        index = explanation.settings.get("interactions")
        if "interaction" not in explanation.dataset or index is None:
            raise ValueError(
                f"explanation {explanation.name!r}: expected interactions (got none): explain with "
                "--method shapley-groups --set interactions=k-SII"
            )
        data = explanation.dataset
        values = data["interaction"].to_numpy()
        finite = np.isfinite(values).all(axis=(1, 2))
        if not finite.all():
            raise ValueError(
                f"explanation {explanation.name!r}: expected finite interactions (got NaN or "
                f"infinity in {data['sample'].to_numpy()[finite.argmin()]})"
            )
        mean = values.mean(axis=0)
        return cls(
            tuple(map(str, data["player"].to_numpy())),
            mean,
            (np.sign(values) == np.sign(mean)).mean(axis=0),
            len(values),
            index,
            explanation.utility,
            *(_members(explanation, each) for each in ("player_joint", "player_person")),
        )

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of players, those that interact most first."""
        first, second = np.triu_indices(len(self.names), 1)
        order = np.argsort(-np.abs(self.matrix[first, second]), kind="stable")
        return list(zip(first[order].tolist(), second[order].tolist(), strict=True))

    def between_joints(self) -> tuple[list[tuple[int, ...]], np.ndarray]:
        """Add up what lies between the same places of a body, whenever and in whichever branch.

        Returns
        -------
        places
            Groups of joints; fewer than two where players are no parts of a body.
        matrix : (places, places)
            Sums over pairs of players of the same persons; 0 on the diagonal.
        """
        own = [tuple(np.flatnonzero(row).tolist()) for row in self.joints]
        places = list(dict.fromkeys(own))
        at = np.array([places.index(each) for each in own])
        same = (self.persons[:, None] == self.persons[None]).all(axis=2)
        summed = np.zeros((len(places), len(places)))
        np.add.at(summed, (at[:, None], at[None]), np.where(same, self.matrix, 0.0))
        np.fill_diagonal(summed, 0.0)
        return places, summed


def _members(explanation: Explanation, name: str) -> np.ndarray:
    """Return which joints or persons players have; one that all share where nobody tells."""
    if name in explanation.dataset:
        return explanation.dataset[name].to_numpy()
    return np.ones((explanation.dataset.sizes["player"], 1), dtype=bool)
