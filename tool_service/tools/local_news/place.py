"""A place as `local_news` wants it: "City, State"."""

import re
from dataclasses import dataclass

from tool_service.interface import Reject

_PLACE = re.compile(r"([^\W\d_][\w .'’()-]{0,79}?) ?, ?([^\W\d_][\w .'’-]{1,39})")
_STATES = """
    AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut, DE Delaware,
    DC District of Columbia, FL Florida, GA Georgia, HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, KS Kansas,
    KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota, MS Mississippi,
    MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico, NY New York,
    NC North Carolina, ND North Dakota, OH Ohio, OK Oklahoma, OR Oregon, PA Pennsylvania, RI Rhode Island,
    SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah, VT Vermont, VA Virginia, WA Washington,
    WV West Virginia, WI Wisconsin, WY Wyoming
"""
STATES = {code: name for code, _, name in (state.strip().partition(" ") for state in _STATES.split(","))}


@dataclass(frozen=True, slots=True)
class Place:
    """A city and its state, whose name is written out where it is one of the United States."""

    city: str
    state: str

    @property
    def key(self) -> str:
        """The same for each way of writing this place."""
        return f"{self.city}, {self.state}".casefold()


def read_place(location: str) -> Place | None:
    """The place that a text names as "City, State"; None where it is not written so."""
    found = _PLACE.fullmatch(" ".join(location.split()))
    return Place(found[1], STATES.get(found[2].upper(), found[2])) if found else None


def city_and_state(location: str) -> Place:
    """The place. Raises `Reject` where a location is not "City, State"."""
    place = read_place(location)
    if place is None:
        raise Reject('location must be "City, State", for example "San Francisco, CA"')
    return place
