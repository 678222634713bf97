# Three hospitals order the blocks of their network together, under Raft: they trust each
# other's software. One of them may stand still.
network alder:author birch:author cedar:author
ask network.era
ask network.quorum
ask membership.standing org=cedar
----
height: 1
era:
  epoch: 0
  engine: raft
  from_height: 1
  to_height: -
  voters: alder, birch, cedar
before:
  engine: raft
  voters: 3
  quorum: 2
  may_stop: 1
  may_lie: 0
  warning: -
after: -
known: yes
org: cedar
standing: voter
since_height: 0
proposal: -
suspended: no
orders: yes
may_vote: yes
consensus_key: 306c2fce..
cosigner_key: 97473269..
features: -

# A clinic wants to order blocks too. It is registered first, with its own keys and without a
# vote; then the members admit it. Whoever has no seat has no node in the members' network.
alder: governance.propose proposal=@join register={"id":"dogwood","name":"Dogwood","roles":["author"],"identity_key":"key:dogwood/identity","consensus_key":"key:dogwood/vote","cosigner_key":"key:dogwood/head","encryption_key":"key:dogwood/seal","validator":true} +dogwood/identity
alder: governance.propose proposal=@join register={"id":"dogwood","name":"Dogwood","roles":["author"],"identity_key":"key:dogwood/identity","consensus_key":"key:dogwood/vote","cosigner_key":"key:dogwood/head","encryption_key":"key:dogwood/seal","validator":false} +dogwood/identity
alder: governance.vote proposal=@join yes=true
birch: governance.vote proposal=@join yes=true
later 1d
birch: governance.execute proposal=@join
dogwood: membership.ready height=height+0 digest=@tip
ask membership.standing org=dogwood
----
governance-adds-validator
applied
applied
applied
applied
membership-not-learner
known: yes
org: dogwood
standing: none
since_height: 0
proposal: -
suspended: no
orders: no
may_vote: no
consensus_key: key:dogwood/vote
cosigner_key: key:dogwood/head
features: -

# What would change is shown before anybody votes: four voters, and still one that may stop.
birch: governance.propose proposal=@admit admit={"org":"dogwood","votes":true}
ask network.quorum proposal=@admit
birch: governance.vote proposal=@admit yes=true
cedar: governance.vote proposal=@admit yes=true
alder: governance.execute proposal=@admit
later 1d
alder: governance.execute proposal=@admit
ask network.observers
ask network.era
----
applied
before:
  engine: raft
  voters: 3
  quorum: 2
  may_stop: 1
  may_lie: 0
  warning: -
after:
  engine: raft
  voters: 4
  quorum: 3
  may_stop: 1
  may_lie: 0
  warning: -
applied
applied
governance-waiting
applied
observers:
  - org: dogwood
    learner: yes
    since_height: 13
height: 14
era:
  epoch: 0
  engine: raft
  from_height: 1
  to_height: -
  voters: alder, birch, cedar

# It follows now, as a learner, and votes on nothing. When it has caught up it says so itself,
# with a height that is not far back; the next block is the first of a new era.
dogwood: governance.vote proposal=@admit yes=true
dogwood: membership.ready height=height+5 digest=@tip
dogwood: membership.ready height=height+0 digest=@tip as ready
dogwood: membership.ready height=height+0 digest=@tip
ask network.eras
ask network.observers
ask membership.standing org=dogwood
----
governance-not-voter
membership-ready-old
applied
membership-voter-already
eras:
  - epoch: 0
    engine: raft
    from_height: 1
    to_height: 16
    voters: alder, birch, cedar
  - epoch: 1
    engine: raft
    from_height: 17
    to_height: -
    voters: alder, birch, cedar, dogwood
next: -
observers: -
known: yes
org: dogwood
standing: voter
since_height: 16
proposal: @admit
suspended: no
orders: yes
may_vote: yes
consensus_key: key:dogwood/vote
cosigner_key: key:dogwood/head
features: -

# Open proposals are counted again when the voters change. Two of three were enough before the
# clinic came; now three of four must agree, and the clinic votes like the others.
alder: governance.propose proposal=@before expires_heights_max=500
alder: governance.vote proposal=@before yes=true
dogwood: governance.vote proposal=@before yes=true
ask governance.proposal proposal=@before
birch: membership.leave
ask governance.proposal proposal=@before
ask network.quorum
----
applied
applied
applied
known: yes
proposal: @before
status: open
topic: parameters
org: alder
body:
  proposal: @before
  register: -
  roles: -
  suspend: -
  resume: -
  document: -
  expires_heights_max: 500
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 18
made_ms: day 2 00:00:18
vote_until_ms: day 16 00:00:18
yes: alder, dogwood
no: -
waiting_for: birch, cedar
voters: 4
needed: 3
missing: 1
execute_from_ms: -
execute_until_ms: -
may_execute: no
closed_height: -
applied
known: yes
proposal: @before
status: open
topic: parameters
org: alder
body:
  proposal: @before
  register: -
  roles: -
  suspend: -
  resume: -
  document: -
  expires_heights_max: 500
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 18
made_ms: day 2 00:00:18
vote_until_ms: day 16 00:00:18
yes: alder, dogwood
no: -
waiting_for: cedar
voters: 3
needed: 2
missing: 0
execute_from_ms: day 3 00:00:21
execute_until_ms: day 33 00:00:21
may_execute: no
closed_height: -
before:
  engine: raft
  voters: 3
  quorum: 2
  may_stop: 1
  may_lie: 0
  warning: -
after: -

# A hospital that left is an institution like others: it can come back by the same way. One
# that is demoted follows on; one that is removed does not. The last voter cannot go.
birch: record.anchor commitment=@record tag=@tag:16 canon=2
alder: governance.propose proposal=@demote demote=dogwood
alder: governance.vote proposal=@demote yes=true
cedar: governance.vote proposal=@demote yes=true
later 1d
cedar: governance.execute proposal=@demote
ask membership.standing org=dogwood
alder: governance.propose proposal=@remove remove=dogwood
alder: governance.vote proposal=@remove yes=true
cedar: governance.vote proposal=@remove yes=true
later 1d
cedar: governance.execute proposal=@remove
ask membership.standing org=dogwood
cedar: membership.leave
alder: membership.leave
ask network.era
ask network.era at_height=height:ready
ask network.era at_height=height:ready+1
----
applied
applied
applied
applied
applied
known: yes
org: dogwood
standing: observer
since_height: 27
proposal: @demote
suspended: no
orders: no
may_vote: no
consensus_key: key:dogwood/vote
cosigner_key: key:dogwood/head
features: -
applied
applied
applied
applied
known: yes
org: dogwood
standing: none
since_height: 32
proposal: @remove
suspended: no
orders: no
may_vote: no
consensus_key: key:dogwood/vote
cosigner_key: key:dogwood/head
features: -
applied
membership-last-voter
height: 35
era:
  epoch: 4
  engine: raft
  from_height: 34
  to_height: -
  voters: alder
height: 16
era:
  epoch: 0
  engine: raft
  from_height: 1
  to_height: 16
  voters: alder, birch, cedar
height: 17
era:
  epoch: 1
  engine: raft
  from_height: 17
  to_height: 21
  voters: alder, birch, cedar, dogwood
