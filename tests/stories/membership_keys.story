# Four hospitals under Raft.
network alder:author birch:author cedar:author dogwood:author
----

# A node lost its disk. It never votes again with its old key, because it does not know what
# that key has signed: its institution gives it new ones. Each new key signs for itself, so
# nobody can name a key that somebody else holds.
cedar: membership.rotate consensus_key=key:cedar/vote2 cosigner_key=key:cedar/head2 consensus_proof=proof:cedar/vote2 cosigner_proof=proof:cedar/head3
cedar: membership.rotate consensus_key=key:cedar/vote2 cosigner_key=key:cedar/head2 consensus_proof=proof:cedar/vote2 cosigner_proof=proof:cedar/head2 as rotated
ask network.voters epoch=0
ask network.voters
ask network.eras
----
membership-key-unproven
applied
known: yes
epoch: 0
voters:
  - id: alder
    consensus_key: 4ef5b08b..
    cosigner_key: 32287676..
  - id: birch
    consensus_key: 7f9a1fc1..
    cosigner_key: 07ebe41e..
  - id: cedar
    consensus_key: 306c2fce..
    cosigner_key: 97473269..
  - id: dogwood
    consensus_key: c54402c6..
    cosigner_key: 3f074b6d..
known: yes
epoch: 1
voters:
  - id: alder
    consensus_key: 4ef5b08b..
    cosigner_key: 32287676..
  - id: birch
    consensus_key: 7f9a1fc1..
    cosigner_key: 07ebe41e..
  - id: cedar
    consensus_key: key:cedar/vote2
    cosigner_key: key:cedar/head2
  - id: dogwood
    consensus_key: c54402c6..
    cosigner_key: 3f074b6d..
eras:
  - epoch: 0
    engine: raft
    from_height: 1
    to_height: 2
    voters: alder, birch, cedar, dogwood
  - epoch: 1
    engine: raft
    from_height: 3
    to_height: -
    voters: alder, birch, cedar, dogwood
next: -

# A key that was used once is never anybody's again, not even its own institution's.
cedar: membership.rotate consensus_key=key:cedar/vote cosigner_key=key:cedar/head3 consensus_proof=proof:cedar/vote cosigner_proof=proof:cedar/head3
birch: membership.rotate consensus_key=key:cedar/vote2 cosigner_key=key:birch/head2 consensus_proof=proof:cedar/vote2 cosigner_proof=proof:birch/head2
----
membership-key-taken
membership-key-unproven

# The identity key of dogwood was stolen a day ago. The others suspend the institution at once;
# then they give it new keys. The new identity key signs, so it is dogwood's own.
later 1d
alder: governance.propose proposal=@stop suspend=dogwood
alder: governance.vote proposal=@stop yes=true
birch: governance.vote proposal=@stop yes=true
cedar: governance.vote proposal=@stop yes=true
cedar: governance.execute proposal=@stop
dogwood: membership.rotate consensus_key=key:dogwood/vote2 cosigner_key=key:dogwood/head2 consensus_proof=proof:dogwood/vote2 cosigner_proof=proof:dogwood/head2
alder: governance.propose proposal=@keys replace_keys={"org":"dogwood","identity_key":"key:dogwood/new","consensus_key":"key:dogwood/vote2","cosigner_key":"key:dogwood/head2","encryption_key":"key:dogwood/seal2","compromised_since_ms":"-1d"}
alder: governance.propose proposal=@keys replace_keys={"org":"dogwood","identity_key":"key:dogwood/new","consensus_key":"key:dogwood/vote2","cosigner_key":"key:dogwood/head2","encryption_key":"key:dogwood/seal2","compromised_since_ms":"-1d"} +dogwood/new
alder: governance.vote proposal=@keys yes=true
birch: governance.vote proposal=@keys yes=true
cedar: governance.vote proposal=@keys yes=true
cedar: governance.execute proposal=@keys
later 1h
cedar: governance.execute proposal=@keys
ask identity.key.at key=key:dogwood/identity
ask identity.key.at key=key:dogwood/new
ask network.voters
----
applied
applied
applied
applied
applied
unknown-signer
membership-key-unproven
applied
applied
applied
applied
governance-waiting
applied
key: key:dogwood/identity
known: yes
org: dogwood
use: sign
status: revoked
in_force: no
flagged: yes
from_height: 0
from_ms: 0
retires_ms: -
until_height: 19
until_ms: day 1 01:00:19
compromised_since_ms: day 0 00:00:13
key: key:dogwood/new
known: yes
org: dogwood
use: sign
status: active
in_force: yes
flagged: no
from_height: 19
from_ms: day 1 01:00:19
retires_ms: -
until_height: -
until_ms: -
compromised_since_ms: -
known: yes
epoch: 2
voters:
  - id: alder
    consensus_key: 4ef5b08b..
    cosigner_key: 32287676..
  - id: birch
    consensus_key: 7f9a1fc1..
    cosigner_key: 07ebe41e..
  - id: cedar
    consensus_key: key:cedar/vote2
    cosigner_key: key:cedar/head2
  - id: dogwood
    consensus_key: key:dogwood/vote2
    cosigner_key: key:dogwood/head2

# Back in its place, it speaks with the new key only.
alder: governance.propose proposal=@back resume=dogwood
alder: governance.vote proposal=@back yes=true
birch: governance.vote proposal=@back yes=true
cedar: governance.vote proposal=@back yes=true
later 1d
cedar: governance.execute proposal=@back
dogwood: record.anchor commitment=@record tag=@tag:16 canon=2
dogwood/new: record.anchor commitment=@record tag=@tag:16 canon=2
----
applied
applied
applied
applied
applied
unknown-signer
applied

# The four no longer trust each other's software without looking: they go over to PBFT. That is
# a strict decision, with a week to prepare.
alder: governance.propose proposal=@pbft engine=pbft
ask network.quorum proposal=@pbft
alder: governance.vote proposal=@pbft yes=true
birch: governance.vote proposal=@pbft yes=true
cedar: governance.vote proposal=@pbft yes=true
later 7d
cedar: governance.execute proposal=@pbft
ask network.era
alder: governance.propose proposal=@pbft2 engine=pbft
----
applied
before:
  engine: raft
  voters: 4
  quorum: 3
  may_stop: 1
  may_lie: 0
  warning: -
after:
  engine: pbft
  voters: 4
  quorum: 3
  may_stop: 1
  may_lie: 1
  warning: -
applied
applied
applied
applied
height: 34
era:
  epoch: 3
  engine: pbft
  from_height: 34
  to_height: -
  voters: alder, birch, cedar, dogwood
membership-engine-same

# A feature of the rules is in force from a height on, in every node at once. Nobody can vote it
# in before every voter has said that its software knows it.
alder: governance.propose proposal=@feature feature={"name":"more-proposals","from_height":100}
alder: membership.supports features=["more-proposals"]
birch: membership.supports features=["more-proposals"]
cedar: membership.supports features=["more-proposals"]
alder: governance.propose proposal=@feature feature={"name":"more-proposals","from_height":100}
dogwood/new: membership.supports features=["more-proposals"]
alder: governance.propose proposal=@feature feature={"name":"more-proposals","from_height":100}
alder: governance.vote proposal=@feature yes=true
birch: governance.vote proposal=@feature yes=true
cedar: governance.vote proposal=@feature yes=true
later 7d
cedar: governance.execute proposal=@feature
ask network.features
----
membership-feature-unknown
applied
applied
applied
membership-feature-unknown
applied
applied
applied
applied
applied
applied
features:
  - feature:
      name: more-proposals
      from_height: 100
      set_height: 46
      proposal: @feature
    active: no
voters:
  - org: alder
    features: more-proposals
  - org: birch
    features: more-proposals
  - org: cedar
    features: more-proposals
  - org: dogwood
    features: more-proposals
