-- KEYS: one bucket. ARGV: its window. Answers how many count.
return (settle(KEYS[1], tonumber(ARGV[1])))
