package market

import "encoding/hex"

// OrderID is a venue's identifier of a resting order, packed into 16 bytes so that
// a book of hundreds of thousands of orders has no text and no pointer. It is
// comparable; its zero value is none.
//
// Two kinds of text fit, and come back as they were: a UUID in lower case
// (RFC 9562, its variant bit set), and up to 24 of the characters 0-9, A-Z and
// '-'. That is how Coinbase names its orders, and Kraken and Bitstamp theirs.
type OrderID struct {
	// hi is below 1<<63 in a packed text: 12 characters in base 38, 0 for the end;
	// lo has the other 12. In a UUID hi is its second half, whose first bit is
	// set, and lo its first.
	hi, lo uint64
}

const (
	orderHalf   = 12 // characters in 63 bits
	orderBase   = 38
	uuidLength  = 36
	uuidVariant = 1 << 63
)

// ParseOrderID packs an identifier; false for a text that fits neither form.
func ParseOrderID[T ~string | ~[]byte](s T) (OrderID, bool) {
	if len(s) == uuidLength {
		return parseUUID(s)
	}
	if len(s) == 0 || len(s) > 2*orderHalf {
		return OrderID{}, false
	}
	hi, ok1 := packOrder(s[:min(len(s), orderHalf)])
	lo, ok2 := packOrder(s[min(len(s), orderHalf):])
	return OrderID{hi, lo}, ok1 && ok2
}

func packOrder[T ~string | ~[]byte](s T) (n uint64, ok bool) {
	for i := range len(s) {
		d := orderDigit[s[i]]
		if d == 0 {
			return 0, false
		}
		n = n*orderBase + uint64(d)
	}
	for i := len(s); i < orderHalf; i++ {
		n *= orderBase
	}
	return n, true
}

func parseUUID[T ~string | ~[]byte](s T) (OrderID, bool) {
	if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return OrderID{}, false
	}
	var half [2]uint64 // first, second
	wrong := uint8(0)
	for i, at := range uuidBytes {
		h, l := hexDigit[s[at]], hexDigit[s[at+1]]
		wrong |= h | l
		half[i>>3] = half[i>>3]<<8 | uint64(h&15)<<4 | uint64(l&15)
	}
	return OrderID{half[1], half[0]}, wrong < noDigit && half[1]&uuidVariant != 0
}

// uuidBytes are the offsets of a UUID's bytes in its text.
var uuidBytes = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// noDigit is a bit that no digit of a number has.
const noDigit = 16

// hexDigit is the value of each lower-case hexadecimal digit, noDigit elsewhere.
var hexDigit = func() (table [256]uint8) {
	for i := range table {
		table[i] = noDigit
	}
	for i, c := range "0123456789abcdef" {
		table[c] = uint8(i)
	}
	return table
}()

// orderDigit is the value of each character of a packed text, from 1; 0 elsewhere.
var orderDigit = func() (table [256]uint8) {
	for i, c := range "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-" {
		table[c] = uint8(i + 1)
	}
	return table
}()

// IsZero reports whether there is no identifier.
func (id OrderID) IsZero() bool { return id == OrderID{} }

// Hash returns a number that is spread evenly for the identifiers that venues give
// out, which differ in few bits.
func (id OrderID) Hash() uint64 {
	h := (id.hi ^ id.lo>>29) * 0x9e3779b97f4a7c15
	h = (h ^ id.lo ^ h>>32) * 0xd6e8feb86659fd93
	return h ^ h>>32
}

// Append appends the identifier's text.
func (id OrderID) Append(dst []byte) []byte {
	if id.hi&uuidVariant == 0 {
		return appendOrder(appendOrder(dst, id.hi), id.lo)
	}
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(id.lo>>(56-8*i)), byte(id.hi>>(56-8*i))
	}
	from := 0
	for i, to := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, raw[from:to])
		from = to
	}
	return dst
}

func appendOrder(dst []byte, n uint64) []byte {
	var text [orderHalf]byte
	for i := orderHalf - 1; i >= 0; i-- {
		text[i] = byte(n % orderBase)
		n /= orderBase
	}
	for _, d := range text {
		switch {
		case d == 0:
			return dst
		case d <= 10:
			dst = append(dst, '0'+d-1)
		case d <= 36:
			dst = append(dst, 'A'+d-11)
		default:
			dst = append(dst, '-')
		}
	}
	return dst
}

// String returns the identifier's text.
func (id OrderID) String() string { return string(id.Append(nil)) }

// OrderAction is what a [KindOrder] does to a book of orders.
type OrderAction uint8

// The actions.
const (
	// OrderNone is the zero value and never sent.
	OrderNone OrderAction = iota
	// OrderAdd puts an order behind the others at its price. One that stands there
	// already keeps its place and gets the size.
	OrderAdd
	// OrderChange gives an order its new size, and its new price where that
	// differs: only then it goes behind the others. An order that is not in the
	// book, as before it rests there, is none of its business.
	OrderChange
	// OrderRequeue is OrderChange for an order that goes behind the others at any
	// rate, as one that was made larger.
	OrderRequeue
	// OrderReduce takes Size from an order, as a print does from the one that
	// rested. One that is not in the book is none of its business.
	OrderReduce
	// OrderDelete removes an order. One that is not in the book is none of its
	// business.
	OrderDelete
)

var orderActionNames = [...]string{"none", "add", "change", "requeue", "reduce", "delete"}

// String returns the action's lower-case name.
func (a OrderAction) String() string {
	if int(a) < len(orderActionNames) {
		return orderActionNames[a]
	}
	return "unknown"
}
