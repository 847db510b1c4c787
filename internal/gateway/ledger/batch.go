// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/windlass-dev/windlass/internal/resolve"
)

// batch is one transaction of the writer: it reads the votes of the devices that something is said of, folds that in, and
// writes votes and counts together. So the counts are those of the votes at any time, whoever writes; and a batch that is
// written twice, because nobody knows whether the first time held, changes nothing the second time.
type batch struct {
	l       *Ledger
	now     millis
	devices map[Pseudonym]*device

	networks     map[freshKey]int64  // votes that came of a network with this batch
	joined       map[seriesKey]int64 // votes that came with this batch
	fresh        []*placedSeries     // made by this batch
	changes      []change
	failed       map[failure]millis // that were told of or made good; when
	failureSeq   int64              // the first number of these in the database
	rules        *rules
	capped       int
	unattributed int
}

// networkKey tells a network's votes in a series apart.
type networkKey struct {
	series  int64
	network Network
}

// freshKey is the same while the series may have no number yet.
type freshKey struct {
	series  seriesKey
	network Network
}

type failure struct {
	device Pseudonym
	digest string
}

// change is a vote that is not as the database has it.
type change struct {
	device Pseudonym
	entry  *entry
	series *placedSeries
}

// write writes events in one transaction, and then lets the rest of the ledger know.
func (l *Ledger) write(ctx context.Context, events []*event) error {
	b, err := l.commit(ctx, events)
	if err != nil {
		return err
	}
	b.publish()
	l.adopt(b.rules)
	return nil
}

func (l *Ledger) commit(ctx context.Context, events []*event) (*batch, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	b := &batch{
		l: l, now: millisOf(l.cfg.Now()), devices: map[Pseudonym]*device{},
		networks: map[freshKey]int64{}, joined: map[seriesKey]int64{}, failed: map[failure]millis{},
	}
	return b, l.db.change(ctx, func(tx *sql.Tx) error { return b.run(ctx, tx, events) })
}

func (b *batch) run(ctx context.Context, tx *sql.Tx, events []*event) (err error) {
	if b.rules, err = readRules(ctx, tx); err != nil {
		return err
	}
	if err := b.l.readSeries(ctx, tx); err != nil {
		return err
	}
	if err := b.readVoters(ctx, tx, events); err != nil {
		return err
	}
	if err := b.readVotes(ctx, tx, events); err != nil {
		return err
	}
	for _, e := range events {
		b.apply(e)
	}
	if err := b.makeSeries(ctx, tx); err != nil {
		return err
	}
	b.collect()
	if err := b.putVotes(ctx, tx); err != nil {
		return err
	}
	if err := b.putFailures(ctx, tx); err != nil {
		return err
	}
	return b.addCounts(ctx, tx)
}

// readSeries learns of series that other replicas made.
func (l *Ledger) readSeries(ctx context.Context, q querier) error {
	return each(ctx, q, func(rows *sql.Rows) error {
		s := &placedSeries{}
		if err := rows.Scan(&s.id, &s.App, &s.Channel, &s.Digest, &s.Version, &s.Arm, &s.Trial, &s.Stage, &s.Candidate, &s.Release); err != nil {
			return err
		}
		l.catalog.add(s)
		return nil
	}, "SELECT "+seriesColumns+" FROM series WHERE id > $1 ORDER BY id", l.catalog.last())
}

// readVoters learns how many devices vote in the events' series, and which series are gone.
func (b *batch) readVoters(ctx context.Context, tx *sql.Tx, events []*event) error {
	used := map[int64]*placedSeries{}
	for _, e := range events {
		if !e.placed {
			continue
		}
		for _, key := range [...]seriesKey{e.series.key(), e.series.candidates().key()} { // room asks for both
			if s := b.l.catalog.find(key); s != nil {
				used[s.id] = s
			}
		}
	}
	gone := maps.Clone(used)
	for ids := range chunked(slices.Collect(maps.Keys(used))) {
		args := make([]any, len(ids))
		for i, id := range ids {
			args[i] = id
		}
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var id, voters int64
			if err := rows.Scan(&id, &voters); err != nil {
				return err
			}
			used[id].voters = voters
			delete(gone, id)
			return nil
		}, b.l.db.statements.votersOf[len(ids)], args...)
		if err != nil {
			return err
		}
	}
	for _, s := range gone {
		b.l.catalog.remove(s)
	}
	return nil
}

func (b *batch) readVotes(ctx context.Context, tx *sql.Tx, events []*event) error {
	for _, e := range events {
		b.devices[e.device] = &device{}
	}
	err := b.l.votesOf(ctx, tx, slices.Collect(maps.Keys(b.devices)), func(p Pseudonym, s *placedSeries, v *vote) {
		d := b.devices[p]
		*d = append(*d, &entry{series: &s.Series, vote: *v, before: *v, stored: true, id: s.id})
	})
	for _, d := range b.devices {
		slices.SortFunc(*d, func(x, y *entry) int { return cmp.Compare(x.id, y.id) }) // so that ties are the same each time
	}
	return err
}

// votesOf reads the votes of devices, in no order.
func (l *Ledger) votesOf(ctx context.Context, q querier, devices []Pseudonym, use func(Pseudonym, *placedSeries, *vote)) error {
	slices.SortFunc(devices, comparePseudonyms)
	for part := range chunked(devices) {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i][:]
		}
		err := each(ctx, q, func(rows *sql.Rows) error {
			var row scanned
			if err := row.read(rows); err != nil {
				return err
			}
			p, err := pseudonymOf(row.device)
			if s := l.catalog.byNumber(row.series); s != nil && err == nil {
				use(p, s, &row.vote)
			}
			return err
		}, l.db.statements.votesOf[len(part)], args...)
		if err != nil {
			return err
		}
	}
	return nil
}

func comparePseudonyms(a, b Pseudonym) int { return bytes.Compare(a[:], b[:]) }

func (b *batch) apply(e *event) {
	if !b.devices[e.device].apply(e, *b.rules, b.room) {
		b.unattributed++
	}
	if e.blames != "" {
		last := failure{e.device, e.blames}
		b.failed[last] = max(b.failed[last], e.said.at)
	}
}

// room tells whether another device of a network may vote in a series.
func (b *batch) room(e *event) bool {
	key := freshKey{e.series.key(), e.network}
	if e.network != 0 && b.l.cfg.NetworkShare < 1 {
		have := b.networks[key]
		if s := b.l.catalog.find(key.series); s != nil {
			before, _ := b.l.networks.Get(networkKey{s.id, e.network})
			have += before
		}
		if have >= b.limit(&e.series) {
			b.capped++
			return false
		}
		b.networks[key]++
	}
	b.joined[key.series]++
	return true
}

// limit is how many devices of one network may vote in a series. The minimum is a larger share of a small arm than of a large one, and
// networks are not alike: one whose devices fail more often would weigh more in the candidate's arm than in the control, and a good release
// would look worse than what it replaces. So the control takes the share of a network that the candidate's arm takes, in each stage.
func (b *batch) limit(s *Series) int64 {
	least, share, voters := float64(b.l.cfg.NetworkMinimum), b.l.cfg.NetworkShare, float64(b.voters(s.key()))
	if s.Arm == resolve.Control {
		share = max(share, least/max(least, float64(b.voters(s.candidates().key()))))
	}
	return int64(max(least, share*voters))
}

// voters is how many devices vote in a series.
func (b *batch) voters(key seriesKey) int64 {
	n := b.joined[key]
	if s := b.l.catalog.find(key); s != nil {
		n += s.voters
	}
	return n
}

// makeSeries gives each new series a row.
func (b *batch) makeSeries(ctx context.Context, tx *sql.Tx) error {
	fresh := map[seriesKey]*Series{}
	for _, d := range b.devices {
		for _, e := range *d {
			if key := e.series.key(); !e.stored && b.l.catalog.find(key) == nil {
				fresh[key] = e.series
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	id, err := numbers(ctx, tx, len(fresh))
	if err != nil {
		return err
	}
	for _, s := range fresh {
		made := s.place(id)
		_, err := tx.ExecContext(ctx, "INSERT INTO series ("+seriesColumns+", created_at, served_at, "+
			"tracked, exposed, offered, downloaded, installed, confirmed, failed, delivery_failed, returned, failed_once) VALUES "+
			"($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
			made.id, s.App, s.Channel, s.Digest, s.Version, string(s.Arm), s.Trial, s.Stage, s.Candidate, s.Release, b.now, b.now)
		if err != nil {
			return err
		}
		b.fresh = append(b.fresh, made)
		id++
	}
	return nil
}

// collect finds the votes that changed, in the order of the table's key.
func (b *batch) collect() {
	made := map[seriesKey]*placedSeries{}
	for _, s := range b.fresh {
		made[s.key()] = s
	}
	for p, d := range b.devices {
		for _, e := range *d {
			if e.stored && e.vote == e.before {
				continue
			}
			s := made[e.series.key()]
			if s == nil {
				s = b.l.catalog.find(e.series.key())
			}
			b.changes = append(b.changes, change{p, e, s})
			v, before := &e.vote, &e.before
			if e.series.Digest != "" && (v.barred != before.barred || v.barred && v.failedAt != before.failedAt) {
				f := failure{p, e.series.Digest}
				b.failed[f] = max(b.failed[f], v.failedAt)
			}
		}
	}
	slices.SortFunc(b.changes, func(x, y change) int {
		if n := comparePseudonyms(x.device, y.device); n != 0 {
			return n
		}
		return int(x.series.id - y.series.id)
	})
}

func (b *batch) putVotes(ctx context.Context, tx *sql.Tx) error {
	var args []any
	for part := range chunked(b.changes) {
		args = args[:0]
		for i := range part {
			args = voteValues(args, &part[i].device, part[i].series.id, &part[i].entry.vote)
		}
		if _, err := tx.ExecContext(ctx, b.l.db.statements.putVotes[len(part)], args...); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) putFailures(ctx context.Context, tx *sql.Tx) error {
	if len(b.failed) == 0 {
		return nil
	}
	seq, err := numbers(ctx, tx, len(b.failed))
	if err != nil {
		return err
	}
	b.failureSeq = seq
	list := slices.SortedFunc(maps.Keys(b.failed), func(x, y failure) int { return comparePseudonyms(x.device, y.device) })
	for part := range chunked(list) {
		var args []any
		for i, f := range part {
			at, lifted := b.failed[f], b.lifted(f)
			if lifted {
				at = b.now
			}
			args = append(args, part[i].device[:], f.digest, at, bit(lifted), seq)
			seq++
		}
		if _, err := tx.ExecContext(ctx, b.l.db.statements.putFailures[len(part)], args...); err != nil {
			return err
		}
	}
	return nil
}

// lifted tells whether a failure bars the bundle from the device no more.
func (b *batch) lifted(f failure) bool { return !b.devices[f.device].barred(f.digest) }

// addCounts adds what changed to the counts of the series.
func (b *batch) addCounts(ctx context.Context, tx *sql.Tx) error {
	added := map[int64]difference{}
	for _, c := range b.changes {
		e, d := c.entry, added[c.series.id]
		d.tally = d.tally.plus(b.rules.counted(&e.vote)).minus(b.rules.counted(&e.before))
		if !e.stored {
			d.rows++
		}
		added[c.series.id] = d
	}
	return addDifferences(ctx, tx, added, b.now)
}

// difference is what changes in the counts of a series.
type difference struct {
	rows  int64 // votes, of those who vote and who do not
	tally tally
}

// addDifferences adds to the counts of series, which were served at a time; 0: that stays.
func addDifferences(ctx context.Context, tx *sql.Tx, to map[int64]difference, at millis) error {
	for _, id := range slices.Sorted(maps.Keys(to)) {
		if err := to[id].add(ctx, tx, id, at); err != nil {
			return err
		}
	}
	return nil
}

func (d difference) add(ctx context.Context, tx *sql.Tx, id int64, at millis) error {
	t := &d.tally
	_, err := tx.ExecContext(ctx, "UPDATE series SET tracked = tracked + $1, exposed = exposed + $2, offered = offered + $3, "+
		"downloaded = downloaded + $4, installed = installed + $5, confirmed = confirmed + $6, failed = failed + $7, "+
		"delivery_failed = delivery_failed + $8, returned = returned + $9, failed_once = failed_once + $10, "+
		"served_at = CASE WHEN served_at < $11 THEN $11 ELSE served_at END WHERE id = $12",
		d.rows, t[Exposed], t[Offered], t[Downloaded], t[Installed], t[Confirmed], t[Failed], t[DeliveryFailed], t[Returned], t[failedOnce], at, id)
	return err
}

// publish lets memory and metrics know of what was committed.
func (b *batch) publish() {
	for _, s := range b.fresh {
		b.l.catalog.add(s)
	}
	for fresh, n := range b.networks {
		key := networkKey{b.l.catalog.find(fresh.series).id, fresh.network}
		have, _ := b.l.networks.Get(key)
		b.l.networks.Add(key, have+n)
	}
	b.publishFailures()
	for _, c := range b.changes {
		if e := c.entry; e.vote.voting {
			b.l.metrics.reached(&c.series.Series, b.rules.reached(&e.vote).minus(b.rules.reached(&e.before)), b.now)
		}
	}
	b.l.metrics.capped.Add(float64(b.capped))
	b.l.metrics.unattributed.Add(float64(b.unattributed))
}

// publishFailures lets memory know which failures bar a bundle. Since the commit another replica may have written of the same devices, and
// the follower may have read that already: what this batch knows is old then. So the follower reads again from here.
func (b *batch) publishFailures() {
	if len(b.failed) == 0 {
		return
	}
	for f := range b.failed {
		if b.lifted(f) {
			b.l.failures.forget(f.device, f.digest)
		} else {
			b.l.remember(f.device, f.digest)
		}
	}
	b.l.failuresFrom.CompareAndSwap(0, b.failureSeq) // an earlier batch's is lower
}
