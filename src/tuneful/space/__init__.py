"""What can vary: domains, structure, and the space they make."""

from tuneful.space.choice import Bool as Bool
from tuneful.space.choice import Choice as Choice
from tuneful.space.domains import Domain as Domain
from tuneful.space.number import Float as Float
from tuneful.space.number import Int as Int
from tuneful.space.number import Log as Log
from tuneful.space.options import Scalar as Scalar
from tuneful.space.signature import spec_of as spec_of
from tuneful.space.space import Config as Config
from tuneful.space.space import Space as Space
from tuneful.space.structure import Parameter as Parameter
from tuneful.space.structure import Repeat as Repeat
from tuneful.space.structure import Switch as Switch
from tuneful.space.structure import When as When
