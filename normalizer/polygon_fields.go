package normalizer

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
	numFields
	noField = -1
)

// polygonFields holds the places of an event's values until all are read: keys
// come in any order, and what a one-letter key means depends on ev.
type polygonFields struct {
	have uint64
	at   [numFields]span
}

func letter(c byte) int { return int(c - 'a') }

// get returns a field; its kind is absent where it was not sent or is null.
func (f *polygonFields) get(i int) span {
	if f.have&(1<<i) == 0 || f.at[i].kind == null {
		return span{}
	}
	return f.at[i]
}

// polygonField numbers the names other than one lower-case letter.
func polygonField(name []byte) int {
	switch len(name) {
	case 1: // lower case is the caller's
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
	return noField
}
