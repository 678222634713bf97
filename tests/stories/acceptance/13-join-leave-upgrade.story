# Joining, leaving, and changing the rules.
#
# The network belongs to its members.  Who joins, who is suspended and what is in force are
# decisions with votes, a threshold, a time to prepare and a block from which they hold; whoever
# asks later gets the answer for any height.  Four institutions founded it and order its blocks,
# so these four vote.
network hospital-a:author,custodian,dispenser,research insurer-b:payer maker-c:manufacturer,research agency-d:ethics,regulator,supplier
----

# A birth house wants to join, as an author of records.  It brings its own key, so nobody is
# registered under a key that others hold; and it does not come in as one who orders blocks.
hospital-a: governance.propose proposal=@join register={"id":"birth-house","name":"Birthhouse","roles":["author"],"identity_key":"key:birth-house/identity","consensus_key":"key:birth-house/vote","cosigner_key":"key:birth-house/head","encryption_key":"key:birth-house/seal","validator":false}
hospital-a: governance.propose proposal=@join register={"id":"birth-house","name":"Birthhouse","roles":["author"],"identity_key":"key:birth-house/identity","consensus_key":"key:birth-house/vote","cosigner_key":"key:birth-house/head","encryption_key":"key:birth-house/seal","validator":true} +birth-house/identity
hospital-a: governance.propose proposal=@join register={"id":"birth-house","name":"Birthhouse","roles":["author"],"identity_key":"key:birth-house/identity","consensus_key":"key:birth-house/vote","cosigner_key":"key:birth-house/head","encryption_key":"key:birth-house/seal","validator":false} +birth-house/identity as proposed
birth-house: record.anchor commitment=@too-early tag=@early:16 canon=2
----
governance-key-unproven
governance-adds-validator
applied
unknown-signer

# Two thirds of four are three.  Nobody votes twice, nobody carries it out with two votes, and
# after the third there is a day in which everybody can prepare.
hospital-a: governance.vote proposal=@join yes=true
hospital-a: governance.vote proposal=@join yes=true
insurer-b: governance.vote proposal=@join yes=true
hospital-a: governance.execute proposal=@join
ask governance.proposal proposal=@join
maker-c: governance.vote proposal=@join yes=false
agency-d: governance.vote proposal=@join yes=true
hospital-a: governance.execute proposal=@join
later 1d
hospital-a: governance.execute proposal=@join as joined
agency-d: governance.vote proposal=@join yes=true
----
applied
governance-voted-already
applied
governance-threshold-missing
known: yes
proposal: @join
status: open
topic: institution
org: hospital-a
body:
  proposal: @join
  register:
    id: birth-house
    name: Birthhouse
    roles: author
    identity_key: key:birth-house/identity
    consensus_key: key:birth-house/vote
    cosigner_key: key:birth-house/head
    encryption_key: key:birth-house/seal
    validator: no
  roles: -
  suspend: -
  resume: -
  document: -
  expires_heights_max: -
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 3
made_ms: day 0 00:00:03
vote_until_ms: day 14 00:00:03
yes: hospital-a, insurer-b
no: -
waiting_for: agency-d, maker-c
voters: 4
needed: 3
missing: 1
execute_from_ms: -
execute_until_ms: -
may_execute: no
closed_height: -
applied
applied
governance-waiting
applied
governance-proposal-closed

# The birth house belongs now: it puts a record on the ledger.  It is heard and does not vote.
# It trades no medicines yet, and asks for the role of one who dispenses them.
birth-house: record.anchor commitment=@birth tag=@birth-tag:16 canon=2
birth-house: supply.verify.request request=@vitamin responder=maker-c item=@drops product="09506000141121"
birth-house: governance.propose proposal=@more roles={"org":"birth-house","roles":["author","dispenser"]}
birth-house: governance.vote proposal=@more yes=true
hospital-a: governance.vote proposal=@more yes=true
insurer-b: governance.vote proposal=@more yes=true
maker-c: governance.vote proposal=@more yes=true
later 1d
birth-house: governance.execute proposal=@more as more
birth-house: supply.verify.request request=@vitamin responder=maker-c item=@drops product="09506000141121"
----
applied
role-missing
applied
governance-not-voter
applied
applied
applied
applied
applied

# Its laptop with the keys is stolen.  A suspension does not wait: with the third vote it can be
# carried out, and from that block on the stolen keys are worth nothing.
agency-d: governance.propose proposal=@stop suspend=birth-house
agency-d: governance.vote proposal=@stop yes=true
hospital-a: governance.vote proposal=@stop yes=true
agency-d: governance.execute proposal=@stop
insurer-b: governance.vote proposal=@stop yes=true
agency-d: governance.execute proposal=@stop as stopped
birth-house: record.anchor commitment=@forged tag=@forged-tag:16 canon=2
agency-d: governance.propose proposal=@stop-again suspend=birth-house
----
applied
applied
applied
governance-threshold-missing
applied
applied
unknown-signer
governance-suspended

# The laptop is found.  Coming back takes a decision and a day, as joining did.
hospital-a: governance.propose proposal=@back resume=birth-house
hospital-a: governance.vote proposal=@back yes=true
insurer-b: governance.vote proposal=@back yes=true
agency-d: governance.vote proposal=@back yes=true
later 1d
hospital-a: governance.execute proposal=@back as back
birth-house: record.anchor commitment=@birth-2 tag=@birth-2-tag:16 canon=2
----
applied
applied
applied
applied
applied
applied

# What was the birth house, and when?  Before, as a member, with more roles, suspended, back.
ask governance.roles org=birth-house at_height=height:proposed
ask governance.roles org=birth-house at_height=height:joined
ask governance.roles org=birth-house at_height=height:more
ask governance.roles org=birth-house at_height=height:stopped
ask governance.roles org=birth-house at_height=height:back
# And a founder, at the height at which the birth house joined?
ask governance.roles org=insurer-b at_height=height:joined
----
known: no
org: birth-house
height: 3
roles: -
suspended: no
from_height: 0
proposal: -
validator: no
known: yes
org: birth-house
height: 13
roles: author
suspended: no
from_height: 13
proposal: @join
validator: no
known: yes
org: birth-house
height: 23
roles: author, dispenser
suspended: no
from_height: 23
proposal: @more
validator: no
known: yes
org: birth-house
height: 30
roles: author, dispenser
suspended: yes
from_height: 30
proposal: @stop
validator: no
known: yes
org: birth-house
height: 38
roles: author, dispenser
suspended: no
from_height: 38
proposal: @back
validator: no
known: yes
org: insurer-b
height: 13
roles: payer
suspended: no
from_height: 0
proposal: -
validator: yes

# Papers of law, version by version: the notice that tells patients what is done with their
# data.  More than half decide.  An older version does not come back.
agency-d: governance.propose proposal=@notice document={"kind":"privacy-notice","version":1,"digest":"@notice-1"}
agency-d: governance.vote proposal=@notice yes=true
hospital-a: governance.vote proposal=@notice yes=true
maker-c: governance.vote proposal=@notice yes=true
later 1d
agency-d: governance.execute proposal=@notice as noticed
agency-d: governance.propose proposal=@notice-old document={"kind":"privacy-notice","version":1,"digest":"@notice-0"}
----
applied
applied
applied
applied
applied
governance-document-old

# An upgrade of the rules: a new rule set, which holds from a block five hundred later on, so
# that every node has the new software by then.  Rules take three quarters of the votes and
# wait for seven days; who disagrees withdraws nothing but its own proposals.
maker-c: governance.propose proposal=@upgrade document={"kind":"rule-set","version":2,"digest":"@rules-2","from_height":"height:noticed+500"}
maker-c: governance.vote proposal=@upgrade yes=true
hospital-a: governance.vote proposal=@upgrade yes=true
insurer-b: governance.withdraw proposal=@upgrade
agency-d: governance.vote proposal=@upgrade yes=true
later 6d
maker-c: governance.execute proposal=@upgrade
later 1d
maker-c: governance.execute proposal=@upgrade
----
applied
applied
applied
governance-not-proposer
applied
governance-waiting
applied

# A parameter: how many blocks ahead a transaction may be made.  The first wish is turned down
# by two, which puts three votes out of reach; the second one passes.
insurer-b: governance.propose proposal=@short expires_heights_max=2000
hospital-a: governance.vote proposal=@short yes=false
agency-d: governance.vote proposal=@short yes=false
maker-c: governance.vote proposal=@short yes=true
insurer-b: governance.propose proposal=@shorter expires_heights_max=50000
insurer-b: governance.vote proposal=@shorter yes=true
hospital-a: governance.vote proposal=@shorter yes=true
agency-d: governance.vote proposal=@shorter yes=true
later 1d
insurer-b: governance.execute proposal=@shorter
insurer-b: governance.propose proposal=@same expires_heights_max=50000
----
applied
applied
applied
governance-proposal-closed
applied
applied
applied
applied
applied
governance-nothing-changes

# Votes have their time: fourteen days.
hospital-a: governance.propose proposal=@forgotten roles={"org":"birth-house","roles":["author"]}
later 15d
hospital-a: governance.vote proposal=@forgotten yes=true
----
applied
governance-vote-late

# What is in force now, what was when the birth house joined, and what will be when the upgrade
# comes into force: one block before, and at that block?
ask governance.documents
ask governance.documents at_height=height:joined
ask governance.documents at_height=height:noticed+499
ask governance.documents at_height=height:noticed+500
----
height: 69
documents:
  - kind: privacy-notice
    version: 1
    digest: @notice-1
    from_height: 45
    from_ms: day 4 00:00:45
    proposal: @notice
height: 13
documents: -
height: 544
documents:
  - kind: privacy-notice
    version: 1
    digest: @notice-1
    from_height: 45
    from_ms: day 4 00:00:45
    proposal: @notice
height: 545
documents:
  - kind: privacy-notice
    version: 1
    digest: @notice-1
    from_height: 45
    from_ms: day 4 00:00:45
    proposal: @notice
  - kind: rule-set
    version: 2
    digest: @rules-2
    from_height: 545
    from_ms: day 11 00:00:55
    proposal: @upgrade

# How was the upgrade decided, and how did the first wish for a parameter end?
ask governance.proposal proposal=@upgrade
ask governance.proposal proposal=@short
# How is it decided here, and by whom?  The birth house is a member and no voter.
ask governance.policies
ask network.member org=birth-house
----
known: yes
proposal: @upgrade
status: executed
topic: rules
org: maker-c
body:
  proposal: @upgrade
  register: -
  roles: -
  suspend: -
  resume: -
  document:
    kind: rule-set
    version: 2
    digest: @rules-2
    from_height: 545
  expires_heights_max: -
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 47
made_ms: day 4 00:00:47
vote_until_ms: day 34 00:00:47
yes: agency-d, hospital-a, maker-c
no: -
waiting_for: -
voters: 4
needed: 3
missing: 0
execute_from_ms: day 11 00:00:51
execute_until_ms: day 41 00:00:51
may_execute: no
closed_height: 55
known: yes
proposal: @short
status: rejected
topic: parameters
org: insurer-b
body:
  proposal: @short
  register: -
  roles: -
  suspend: -
  resume: -
  document: -
  expires_heights_max: 2000
  policy: -
  limits: -
  admit: -
  demote: -
  remove: -
  engine: -
  replace_keys: -
  feature: -
made_height: 56
made_ms: day 11 00:00:56
vote_until_ms: day 25 00:00:56
yes: -
no: agency-d, hospital-a
waiting_for: -
voters: 4
needed: 3
missing: 3
execute_from_ms: -
execute_until_ms: -
may_execute: no
closed_height: 58
voters: agency-d, hospital-a, insurer-b, maker-c
policies:
  - topic: engine
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
  - topic: features
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
  - topic: incident-policy
    needed: 3
    policy:
      threshold_bp: 5000
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: institution
    needed: 3
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: keys
    needed: 3
    policy:
      threshold_bp: 6666
      wait_ms: 3600000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: legal
    needed: 3
    policy:
      threshold_bp: 5000
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: membership
    needed: 3
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: parameters
    needed: 3
    policy:
      threshold_bp: 6666
      wait_ms: 86400000
      window_ms: 1209600000
      execute_ms: 2592000000
  - topic: rules
    needed: 3
    policy:
      threshold_bp: 7500
      wait_ms: 604800000
      window_ms: 2592000000
      execute_ms: 2592000000
limits:
  gdpr_authority_hours: 72
  hipaa_persons_days: 60
  hipaa_authority_days: 60
expires_heights_max: 50000
known: yes
institution:
  id: birth-house
  name: Birthhouse
  roles: author, dispenser
  identity_key: key:birth-house/identity
  consensus_key: key:birth-house/vote
  cosigner_key: key:birth-house/head
  encryption_key: key:birth-house/seal
  validator: no
suspended: no
