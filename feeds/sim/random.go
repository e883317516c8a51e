package sim

import (
	"hash/fnv"
	"math/rand/v2"
)

// random is the generator of one symbol, or of one symbol at one venue. Each
// has its own, so that adding a symbol does not change what the others do.
//
// The distributions below use only + - * / on floats, never math.Exp or the
// like, whose last bit may differ between processors.
type random struct{ *rand.Rand }

func newRandom(seed uint64, name string) random {
	h := fnv.New64a()
	h.Write([]byte(name))
	return random{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// normal is close to a standard normal: the sum of four uniforms, scaled.
func (r random) normal() float64 {
	s := r.Float64() + r.Float64() + r.Float64() + r.Float64() - 2
	return s * 1.7320508
}

// heavy has a median near 1 and a tail to about 30: a few orders are much
// larger than the rest.
func (r random) heavy() float64 {
	return 0.5 / (r.Float64() + 0.0167)
}

// count turns an expected number of events into a number of events.
func (r random) count(expected float64) int {
	return int(float64(expected*(0.5+r.Float64())) + r.Float64())
}

// chance is true with probability p.
func (r random) chance(p float64) bool { return r.Float64() < p }

// mix is splitmix64: a hash for identifiers that must not use up randomness.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
