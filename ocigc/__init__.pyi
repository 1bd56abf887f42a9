"""What `ocigc` exports, for those who check types."""

from ocigc.errors import CorruptError as CorruptError
from ocigc.errors import MalformedError as MalformedError
from ocigc.errors import OcigcError as OcigcError
from ocigc.errors import Refused as Refused
from ocigc.errors import UsageError as UsageError
from ocigc.gc.decide import Request as Request
from ocigc.gc.in_use import InUse as InUse
from ocigc.gc.in_use import Mirror as Mirror
from ocigc.gc.policy import Policy as Policy
from ocigc.gc.rule_sets import DOCKER_29 as DOCKER_29
from ocigc.gc.rule_sets import SEED as SEED
from ocigc.gc.rule_sets import RuleSet as RuleSet
from ocigc.inspect.diff import Difference as Difference
from ocigc.inspect.diff import diff as diff
from ocigc.inspect.disk_usage import Consumption as Consumption
from ocigc.inspect.disk_usage import du as du
from ocigc.inspect.overview import overview as overview
from ocigc.inspect.overview_values import Overview as Overview
from ocigc.inspect.tree import Leaf as Leaf
from ocigc.inspect.tree import tree as tree
from ocigc.inspect.usage import Usage as Usage
from ocigc.inspect.usage import images as images
from ocigc.inspect.why import RetainingPaths as RetainingPaths
from ocigc.inspect.why import why as why
from ocigc.inuse import parse_in_use as parse_in_use
from ocigc.layout.archive import Archive as Archive
from ocigc.layout.layout import Layout as Layout
from ocigc.layout.protect import held as held
from ocigc.layout.protect import hold as hold
from ocigc.layout.protect import release as release
from ocigc.progress import Watcher as Watcher
from ocigc.pruning.layout_plan import Pruned as Pruned
from ocigc.pruning.policy_file import parse_policy as parse_policy
from ocigc.pruning.prune import prune as prune
from ocigc.pruning.prune_options import PruneOptions as PruneOptions
from ocigc.pruning.prune_options import request as request
from ocigc.pruning.restore import Restored as Restored
from ocigc.pruning.restore import restore as restore
from ocigc.pruning.restore import trashed as trashed
from ocigc.verification.check import Findings as Findings
from ocigc.verification.check import check as check
from ocigc.verification.scan import Verification as Verification
from ocigc.verification.verify import VerifyOptions as VerifyOptions
from ocigc.verification.verify import verify as verify

__version__: str
