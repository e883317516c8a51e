package wire

import "encoding/json"

// Opt is a field that may be absent, null or a value: in a delta it keeps,
// clears or sets what it is about.
type Opt[T any] struct {
	Value T
	Set   bool // the field is there
	Null  bool // as null
}

// Some returns a field with a value.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Null returns a field that is null.
func Null[T any]() Opt[T] { return Opt[T]{Set: true, Null: true} }

// Apply changes dst as the field says: nothing where it is absent, the zero
// value where it is null.
func (o *Opt[T]) Apply(dst *T) {
	if o.Set {
		*dst = o.Value
	}
}

// IsZero reports whether the field is absent, for json's omitzero.
func (o Opt[T]) IsZero() bool { return !o.Set }

// MarshalJSON returns the value or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Set {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON reads the value or null.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	*o = Opt[T]{Set: true}
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}
