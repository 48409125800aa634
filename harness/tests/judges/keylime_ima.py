"""Asks Keylime's verifier whether a measurement list leads to a PCR 10 value.

    python keylime_ima.py LOG.TXT ALGORITHM PCR_HEX [LINES]

With LINES the list comes in two requests, as in incremental attestation: the first has so many lines.
Exit code: 0 Keylime accepts the list, 1 it does not.
"""

import logging
import sys
import types

# keylime.signing imports the GnuPG binding for signed policies; there are none here, and it comes with no wheel.
sys.modules.setdefault("gpg", types.ModuleType("gpg"))

from keylime.agentstates import AgentAttestState  # noqa: E402
from keylime.common.algorithms import Hash  # noqa: E402
from keylime.ima import ima  # noqa: E402


def main() -> int:
    logging.disable(logging.CRITICAL)
    path, algorithm, pcr = sys.argv[1:4]
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")[:-1]
    requests = [lines]
    if len(sys.argv) > 4:
        first = int(sys.argv[4])
        requests = [lines[:first], lines[first:]]
    state = AgentAttestState("imalab")
    for number, request in enumerate(requests):
        last = number == len(requests) - 1
        running, failure = ima.process_measurement_list(
            state if len(requests) > 1 else None,
            request,
            pcrval=pcr if last else None,
            hash_alg=Hash(algorithm),
        )
        if not last:
            state.update_ima_attestation(10, bytes.fromhex(running), len(request))
        if failure:
            print([event.context for event in failure.events])
            return 1
    print(running)
    return 0


if __name__ == "__main__":
    sys.exit(main())
