from max78k.codegen.msdk_options import MsdkOptions as MsdkOptions
from max78k.compiler.placement import Placement as Placement
from max78k.errors import Max78kError as Max78kError
from max78k.flows.models import Model as Model
from max78k.flows.models import load_model as load_model
from max78k.flows.synthesis import Compiled as Compiled
from max78k.flows.synthesis import compile_network as compile_network
from max78k.flows.user_network import convert as convert
from max78k.flows.user_network import prepare as prepare
from max78k.network import Network as Network

__version__: str
