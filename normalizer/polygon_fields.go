package normalizer

import "github.com/quotewire/quotewire/market"

// The fields of an event by their names. Those of one letter are numbered by
// it, lower case from 0.
const (
	fieldT  = 26 + iota // upper case: LULD, NOI and V keep the symbol in it
	fieldEv             // event type
	fieldSym
	fieldPair
	fieldBp
	fieldBs
	fieldBx
	fieldAp
	fieldAs
	fieldAx
	fieldAv
	fieldAt
	fieldBt
	fieldVal
	fieldFmv
	fieldVw
	fieldDs
	fieldDv
	fieldDav
	fieldTrfi
	fieldMessage
	fieldStatus
	fieldOther // names that no event is made of
	numFields
	noField   = -1
	maxFields = 64 // a power of two, for indices that need no check
)

// polygonFields holds the places of an event's values until all are read: keys
// come in any order, and what a one-letter key means depends on ev.
type polygonFields struct {
	have uint64
	at   [maxFields]polygonValue
	none polygonValue
}

func letter(c byte) int { return int(c - 'a') }

// get returns a field; its kind is absent where it was not sent or is null. It is
// valid until the next event is read.
func (f *polygonFields) get(i int) *polygonValue {
	if f.have&(1<<i) == 0 || f.at[i].kind == null {
		return &f.none
	}
	return &f.at[i]
}

// polygonField numbers a name.
func polygonField(name []byte) int {
	switch len(name) {
	case 1:
		if name[0]-'a' < 26 {
			return letter(name[0])
		}
		if name[0] == 'T' {
			return fieldT
		}
	case 2:
		switch uint16(name[0])<<8 | uint16(name[1]) {
		case 'e'<<8 | 'v':
			return fieldEv
		case 'b'<<8 | 'p':
			return fieldBp
		case 'b'<<8 | 's':
			return fieldBs
		case 'b'<<8 | 'x':
			return fieldBx
		case 'a'<<8 | 'p':
			return fieldAp
		case 'a'<<8 | 's':
			return fieldAs
		case 'a'<<8 | 'x':
			return fieldAx
		case 'a'<<8 | 'v':
			return fieldAv
		case 'a'<<8 | 't':
			return fieldAt
		case 'b'<<8 | 't':
			return fieldBt
		case 'v'<<8 | 'w':
			return fieldVw
		case 'd'<<8 | 's':
			return fieldDs
		case 'd'<<8 | 'v':
			return fieldDv
		}
	default:
		switch string(name) {
		case "sym":
			return fieldSym
		case "pair":
			return fieldPair
		case "val":
			return fieldVal
		case "fmv":
			return fieldFmv
		case "dav":
			return fieldDav
		case "trfi":
			return fieldTrfi
		case "message":
			return fieldMessage
		case "status":
			return fieldStatus
		}
	}
	return fieldOther
}

// decimal is the scanner's decimal for a field.
func (d *polygon) decimal(v *polygonValue) (m int64, decimals market.Decimals, ok bool) {
	if v.decimals >= 0 && v.kind == number {
		return v.mantissa, v.decimals, true
	}
	return d.s.decimal(v.span)
}

// amount is decimal for what cannot be negative.
func (d *polygon) amount(v *polygonValue) (m int64, decimals market.Decimals, ok bool) {
	m, decimals, ok = d.decimal(v)
	return m, decimals, ok && m >= 0
}

// uint is the scanner's uint for a field.
func (d *polygon) uint(v *polygonValue) (uint64, bool) {
	if v.decimals == 0 && v.kind == number {
		return uint64(v.mantissa), true
	}
	return d.s.uint(v.span)
}
