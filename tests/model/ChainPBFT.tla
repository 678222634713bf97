------------------------------ MODULE ChainPBFT ------------------------------
(* Safety of our PBFT variant (package consensus.pbft): signed PBFT over a   *)
(* hash chain, with W heights in flight.                                     *)
(*                                                                           *)
(* For a reader who knows Castro and Liskov 1999, what is different here:    *)
(*                                                                           *)
(* - A sequence number is a height, and a block names its parent.  Here a    *)
(*   block IS the sequence of values up to its height, so "parent" is a      *)
(*   prefix and "same digest" is equality.  Null requests do not exist.      *)
(* - Statements are signed: a certificate is a set of votes, shown to anyone *)
(*   and believed by everyone.  Hence no Q set and no view-change-ack.       *)
(* - The quorum is a formula, not the literal 2F+1: see Q.                   *)
(* - Stable checkpoints are replaced by the commit certificate of the last   *)
(*   final block, which a ViewChange shows as its base.                      *)
(* - Leaving a view needs a Suspect certificate in the product.  It is NOT   *)
(*   modelled, and need not be: it is a guard on SendViewChange, and so are  *)
(*   all timers, the f + 1 join rule and the lineage rule.  A guard only     *)
(*   removes behaviours.  Here every member may leave every view at any      *)
(*   time, so each behaviour of the product is a behaviour of this model,    *)
(*   and an invariant of the model is one of the product.  (For liveness     *)
(*   the certificate matters; liveness is the simulator's subject.)          *)
(*                                                                           *)
(* The adversary.  Every primary is Byzantine: there are no PrePrepare or    *)
(* NewView messages, each honest member may see any proposal, and any        *)
(* NewView that it cannot refute.  F members are Byzantine beyond that; they *)
(* have no state, only what they can add: F votes to any certificate, and F  *)
(* ViewChanges made of any certificates that exist.  Messages are lost,      *)
(* delayed and reordered because no action is ever forced to happen.         *)
(* A crash is a member that takes no more steps; what it said is durable     *)
(* before it is heard (the variants "amnesia" and "twice" show why).         *)
(*                                                                           *)
(* Not modelled: epochs (one committee), rotation of the proposer inside a   *)
(* view (proposers are arbitrary anyway), bodies, signatures, time.          *)

EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS N,          \* members
          Honest,     \* those that follow the protocol: N - F model values
          MaxView, MaxHeight,
          W,          \* heights in flight
          Values,     \* what a block can hold
          Broken      \* "none", or the name of the rule that is left out

F == (N - 1) \div 3

\* Two quorums share an honest member: 2Q - N > F.  The literal 2F+1 has that
\* property only where N = 3F + 1.
Q == CASE Broken = "literal-quorum" -> 2 * F + 1
       [] Broken = "quorum-minus-one" -> (N + F) \div 2
       [] OTHER -> (N + F) \div 2 + 1

\* So many honest votes make a certificate: the liars add the rest.
HonestVotes == Q - F

Variants == {"none", "literal-quorum", "quorum-minus-one", "parent-not-prepared",
             "lowest-view", "nothing-carried-over", "no-certificates", "top-only",
             "same-bytes", "amnesia", "twice", "unproven-base"}

ASSUME /\ Cardinality(Honest) = N - F
       /\ Broken \in Variants
       /\ HonestVotes >= 1 /\ W >= 1

VARIABLES view,    \* [Honest -> view], the view a member is in or waits for
          active,  \* [Honest -> BOOLEAN], FALSE between its ViewChange and the NewView
          pv,      \* [Honest -> set of <<view, block>>], its prepare votes
          cv,      \* [Honest -> set of <<view, block>>], its commit votes: it holds the
                   \* prepared certificate for each of them
          com,     \* [Honest -> block], the chain it delivered
          vc,      \* [Honest -> [view -> its ViewChange for that view]]
          nv       \* [Honest -> block], what the NewView of its view makes it repeat
vars == <<view, active, pv, cv, com, vc, nv>>

Symmetry == Permutations(Honest) \cup Permutations(Values)

Views  == 0..MaxView
Blocks == UNION {[1..h -> Values] : h \in 1..MaxHeight}
Chains == Blocks \cup {<<>>}

Prefix(b, h)     == SubSeq(b, 1, h)
Parent(b)        == Prefix(b, Len(b) - 1)
IsPrefix(a, b)   == Len(a) <= Len(b) /\ Prefix(b, Len(a)) = a
Compatible(a, b) == IsPrefix(a, b) \/ IsPrefix(b, a)
Longest(S)       == {b \in S : \A c \in S : Len(c) <= Len(b)}
Min(a, b)        == IF a < b THEN a ELSE b

-----------------------------------------------------------------------------
(* Certificates.  A cert is <<view, block>>: these votes exist somewhere.    *)

PreparedCert(v, b) ==
    Cardinality({r \in Honest : <<v, b>> \in pv[r]}) >= HonestVotes

CommitCert(v, b) ==
    LET said(r) == IF Broken = "same-bytes" THEN pv[r] \cup cv[r] ELSE cv[r]
    IN  Cardinality({r \in Honest : <<v, b>> \in said(r)}) >= HonestVotes

PreparedCerts == {x \in Views \X Blocks : PreparedCert(x[1], x[2])}
Final == {b \in Blocks : \E v \in Views : CommitCert(v, b)}

-----------------------------------------------------------------------------
(* The view change, as pure functions of certificates.                       *)

\* What a new view must carry over (consensus/pbft/select.py): from the base on,
\* height by height, the certificate of the highest view among those chained to
\* the tip; stop at the first gap.  Two certificates of one view and height name
\* one block unless more than F members lie; the model then allows either.
RECURSIVE Select(_, _)
Select(chain, certs) ==
    LET linked == {x \in certs : Len(x[2]) = Len(chain) + 1 /\ Parent(x[2]) = chain}
        best   == {x \in linked : \A y \in linked :
                     IF Broken = "lowest-view" THEN x[1] <= y[1] ELSE x[1] >= y[1]}
    IN  IF linked = {} THEN {chain}
        ELSE UNION {Select(x[2], certs) : x \in best}

\* What a member shows in its ViewChange: for each height beyond its final block
\* its newest certificate, contiguous and chained.
Newest(votes, h) ==
    LET at == {x \in votes : Len(x[2]) = h}
    IN  {x \in at : \A y \in at : y[1] <= x[1]}

RECURSIVE Contiguous(_, _)
Contiguous(chain, votes) ==
    LET next == {x \in Newest(votes, Len(chain) + 1) : Parent(x[2]) = chain}
    IN  next \cup UNION {Contiguous(x[2], votes) : x \in next}

Shown(final, votes) ==
    LET all == Contiguous(final, votes) IN
    CASE Broken = "no-certificates" -> {}
      [] Broken = "top-only" -> {x \in all : \A y \in all : Len(y[2]) <= Len(x[2])}
      [] OTHER -> all

NoViewChange == [sent |-> FALSE, base |-> <<>>, certs |-> {}]

\* Every outcome <<base, chosen>> that a lying primary can justify to a member in
\* view w.  A quorum of view changes is HonestVotes honest ones and F of the liars;
\* a liar shows any certificates of earlier views and any final block.  (More honest
\* ones would add nothing: what they show exists, so a liar can show it too.)
NewViews(w) ==
    LET senders == {S \in SUBSET {s \in Honest : vc[s][w].sent} :
                      Cardinality(S) = HonestVotes}
        lies    == SUBSET {x \in PreparedCerts : x[1] < w}
        claims  == IF Broken = "unproven-base" THEN Chains ELSE Final \cup {<<>>}
    IN  UNION {
          LET bases == {vc[s][w].base : s \in S} \cup {claim}
              certs == lie \cup UNION {vc[s][w].certs : s \in S}
          IN  UNION {{<<base, chosen>> :
                        chosen \in IF Broken = "nothing-carried-over" THEN {base}
                                   ELSE Select(base, certs)} :
                     base \in Longest(bases)}
          : S \in senders, lie \in lies, claim \in claims}

-----------------------------------------------------------------------------
(* What an honest member does.                                               *)

Init ==
    /\ view = [r \in Honest |-> 0]
    /\ active = [r \in Honest |-> TRUE]
    /\ pv = [r \in Honest |-> {}]
    /\ cv = [r \in Honest |-> {}]
    /\ com = [r \in Honest |-> <<>>]
    /\ vc = [r \in Honest |-> [w \in Views |-> NoViewChange]]
    /\ nv = [r \in Honest |-> <<>>]

\* PrePrepare -> Prepare.  One block per view and height, beyond what is final here, on
\* the final tip or on a parent accepted in this view, inside the window, and first of
\* all what the NewView carried over.
Accept(r, b) ==
    LET v == view[r]
        h == Len(b)
    IN  /\ active[r]
        /\ Len(com[r]) < h /\ h <= Len(com[r]) + W
        /\ Broken = "twice" \/ \A x \in pv[r] : ~(x[1] = v /\ Len(x[2]) = h)
        /\ <<v, b>> \notin pv[r]
        /\ Parent(b) = com[r] \/ <<v, Parent(b)>> \in pv[r]
        /\ h <= Len(nv[r]) => IsPrefix(b, nv[r])
        /\ pv' = [pv EXCEPT ![r] = @ \cup {<<v, b>>}]
        /\ UNCHANGED <<view, active, cv, com, vc, nv>>

\* A quorum of Prepares -> Commit.  Only after the parent is prepared in the same
\* view, or final: otherwise a committed block could follow a gap.
Prepare(r, v, b) ==
    /\ IF Broken = "amnesia" THEN v <= view[r] ELSE v = view[r] /\ active[r]
    /\ <<v, b>> \in pv[r] \ cv[r]
    /\ PreparedCert(v, b)
    /\ \/ Broken = "parent-not-prepared"
       \/ IsPrefix(Parent(b), com[r])
       \/ <<v, Parent(b)>> \in cv[r]
    /\ cv' = [cv EXCEPT ![r] = @ \cup {<<v, b>>}]
    /\ UNCHANGED <<view, active, pv, com, vc, nv>>

\* A quorum of Commits, from one's own votes or shown with a fetched block.
Deliver(r, b) ==
    /\ b \in Final
    /\ Len(b) > Len(com[r])
    /\ com' = [com EXCEPT ![r] = b]
    /\ UNCHANGED <<view, active, pv, cv, vc, nv>>

\* Leave a view for the next.  A member that skips views behaves as one that steps
\* through them without a word: the extra ViewChanges bind nobody.
SendViewChange(r) ==
    LET w == view[r] + 1 IN
    /\ w \in Views
    /\ view' = [view EXCEPT ![r] = w]
    /\ active' = [active EXCEPT ![r] = FALSE]
    /\ nv' = [nv EXCEPT ![r] = <<>>]
    /\ vc' = [vc EXCEPT ![r][w] =
                [sent |-> TRUE, base |-> com[r], certs |-> Shown(com[r], cv[r])]]
    /\ UNCHANGED <<pv, cv, com>>

\* Enter the view with any NewView that our own recomputation does not refute, once
\* we hold the block it starts from.
EnterView(r) ==
    /\ ~active[r]
    /\ \E x \in NewViews(view[r]) :
         /\ nv' = [nv EXCEPT ![r] = x[2]]
         /\ com' = [com EXCEPT ![r] = IF Len(x[1]) > Len(@) THEN x[1] ELSE @]
    /\ active' = [active EXCEPT ![r] = TRUE]
    /\ UNCHANGED <<view, pv, cv, vc>>

Next == \E r \in Honest :
          \/ \E b \in Blocks : Accept(r, b)
          \/ \E x \in pv[r] : Prepare(r, x[1], x[2])
          \/ \E b \in Blocks : Deliver(r, b)
          \/ SendViewChange(r)
          \/ EnterView(r)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* The same protocol with fewer interleavings: members vote at once.         *)
(*                                                                           *)
(* Why no violation of Agreement is lost.  A prepare vote only ever enables: *)
(* guards that read pv grow with it, and it excludes nothing but the same    *)
(* member's other votes of that view and height.  It becomes possible when   *)
(* the member enters the view, when it delivers (a new tip, a moved window), *)
(* or when it votes for the parent.  So each vote of a behaviour may be      *)
(* moved back to that moment, and voting on to the end of the window only    *)
(* enables more.  One case would then be missing: a member votes in a branch *)
(* that loses, delivers the winner, and votes on top of that in the same     *)
(* view.  EagerDeliver allows it although the heights are taken: more than   *)
(* the protocol allows, so what holds here holds there.  nv is forgotten     *)
(* when every height that it binds is voted on.  Not for the variant "twice".*)

\* The longest chains a member may vote for on top of tip.
Fillings(tip, final, chosen) ==
    LET all == {c \in Chains :
                 /\ IsPrefix(tip, c)
                 /\ Len(c) <= Len(final) + W \/ c = tip
                 /\ \A h \in (Len(tip) + 1)..Len(c) :
                      h <= Len(chosen) => IsPrefix(Prefix(c, h), chosen)}
    IN  {c \in all : \A d \in all : IsPrefix(c, d) => c = d}

Votes(v, tip, c) == {<<v, Prefix(c, h)>> : h \in (Len(tip) + 1)..Len(c)}
Remaining(chosen, c) == IF Len(chosen) <= Len(c) THEN <<>> ELSE chosen

EagerInit ==
    /\ view = [r \in Honest |-> 0]
    /\ active = [r \in Honest |-> TRUE]
    /\ pv \in [Honest -> {Votes(0, <<>>, c) : c \in Fillings(<<>>, <<>>, <<>>)}]
    /\ cv = [r \in Honest |-> {}]
    /\ com = [r \in Honest |-> <<>>]
    /\ vc = [r \in Honest |-> [w \in Views |-> NoViewChange]]
    /\ nv = [r \in Honest |-> <<>>]

EagerDeliver(r, b) ==
    /\ b \in Final
    /\ Len(b) > Len(com[r])
    /\ com' = [com EXCEPT ![r] = b]
    /\ IF ~active[r] THEN UNCHANGED <<pv, nv>> ELSE
       LET voted == {x[2] : x \in {y \in pv[r] : y[1] = view[r]}}
           far   == Longest(voted \cup {b})
           tips  == far \cup {c \in {b} : \A t \in far : ~IsPrefix(c, t)}
       IN \E tip \in tips : \E c \in Fillings(tip, b, nv[r]) :
            /\ pv' = [pv EXCEPT ![r] = @ \cup Votes(view[r], tip, c)]
            /\ nv' = [nv EXCEPT ![r] = Remaining(@, c)]
    /\ UNCHANGED <<view, active, cv, vc>>

EagerEnterView(r) ==
    /\ ~active[r]
    /\ \E x \in NewViews(view[r]) :
         LET final == IF Len(x[1]) > Len(com[r]) THEN x[1] ELSE com[r] IN
         /\ com' = [com EXCEPT ![r] = final]
         /\ \E c \in Fillings(final, final, x[2]) :
              /\ pv' = [pv EXCEPT ![r] = @ \cup Votes(view[r], final, c)]
              /\ nv' = [nv EXCEPT ![r] = Remaining(x[2], c)]
    /\ active' = [active EXCEPT ![r] = TRUE]
    /\ UNCHANGED <<view, cv, vc>>

EagerNext == \E r \in Honest :
               \/ \E x \in pv[r] : Prepare(r, x[1], x[2])
               \/ \E b \in Blocks : EagerDeliver(r, b)
               \/ SendViewChange(r)
               \/ EagerEnterView(r)

EagerSpec == EagerInit /\ [][EagerNext]_vars

-----------------------------------------------------------------------------
(* What must hold.                                                           *)

\* No two final blocks contradict each other, whoever holds their certificates.
Agreement == \A a, b \in Final : Compatible(a, b)

\* No two members delivered contradicting chains.
Delivery == \A r, s \in Honest : Compatible(com[r], com[s])

\* What the proof rests on: one prepared block per view and height.
OneCertificate == \A x, y \in PreparedCerts :
                    x[1] = y[1] /\ Len(x[2]) = Len(y[2]) => x[2] = y[2]

\* A bound on depth, for the configurations too large to exhaust.
CONSTANT Depth
Shallow == TLCGet("level") < Depth
=============================================================================
