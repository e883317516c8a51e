package normalizer

// member is key and value in one: it moves to the next member of an object,
// leaves its name in s.name and its place in v. Members as every provider writes
// them, without white space and escapes, are read here in one pass over local
// variables; that halves the time of a flat message. Anything else is left to
// key and value, which also find the faults.
func (s *scanner) member(v *span) bool {
	b, i := s.b, s.i
	if i < len(b) && !s.opened && b[i] == ',' {
		i++
	} else if !s.opened {
		return s.slowMember(v)
	}
	if i >= len(b) || b[i] != '"' {
		return s.slowMember(v)
	}
	i++
	from := i
	for i < len(b) && b[i] > ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	if i+2 >= len(b) || b[i] != '"' || b[i+1] != ':' {
		return s.slowMember(v)
	}
	name := b[from:i]
	i += 2
	from = i
	var k kind
	switch c := b[i]; {
	case c == '"':
		i++
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			return s.slowMember(v)
		}
		i++
		k = text
	case c-'1' < 9:
		i++
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i+1 < len(b) && b[i] == '.' && b[i+1]-'0' <= 9 {
			i += 2
			for i < len(b) && b[i]-'0' <= 9 {
				i++
			}
		}
		if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
			return s.slowMember(v)
		}
		k = number
	default:
		s.i = i
		s.opened = false
		*v = s.value()
		s.name = name // the names within are passed over
		return v.kind != absent
	}
	s.i = i
	s.opened = false
	s.name = name
	*v = span{uint32(from), uint32(i), k}
	return true
}

func (s *scanner) slowMember(v *span) bool {
	if !s.key() {
		return false
	}
	name := s.name
	*v = s.value()
	s.name = name
	return v.kind != absent
}
