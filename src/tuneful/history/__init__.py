"""What is known of a study, and the decisions made from it."""

from tuneful.history.curves import UNTOLD as UNTOLD
from tuneful.history.curves import Curves as Curves
from tuneful.history.history import History as History
from tuneful.history.job import Bound as Bound
from tuneful.history.job import Job as Job
from tuneful.history.job import Limits as Limits
from tuneful.history.job import Objective as Objective
from tuneful.history.job import Proposal as Proposal
from tuneful.history.row import Checkpoint as Checkpoint
from tuneful.history.row import Moment as Moment
from tuneful.history.row import Report as Report
from tuneful.history.row import Row as Row
from tuneful.history.row import State as State
