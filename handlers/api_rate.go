package handlers

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// callRates bounds how often each caller calls the management API, on this server.
type callRates struct {
	each  rate.Limit // per second
	burst int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// rememberedCallers is how many callers are known before those that have been quiet are
// forgotten.
const rememberedCallers = 1000

// take counts one call, says in the answer's header what is left
// (draft-ietf-httpapi-ratelimit-headers), and refuses what is too much.
func (c *callRates) take(h http.Header, caller string, now time.Time) error {
	limiter := c.of(caller, now)
	allowed := limiter.AllowN(now, 1)
	left := max(limiter.TokensAt(now), 0)
	full := math.Ceil(float64(c.burst) / float64(c.each))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"caller";q=%d;w=%.0f`, c.burst, full))
	h.Set("RateLimit", fmt.Sprintf(`"caller";r=%.0f;t=%.0f`, math.Floor(left), math.Ceil((float64(c.burst)-left)/float64(c.each))))
	if allowed {
		return nil
	}
	wait := time.Duration((1 - left) / float64(c.each) * float64(time.Second))
	return &problemErr{Code: "rate_limited", Detail: "This caller sends too many requests.", RetryAfter: max(wait, time.Second)}
}

func (c *callRates) of(caller string, now time.Time) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.all[caller]; ok {
		return l
	}
	if len(c.all) >= rememberedCallers {
		for id, l := range c.all {
			if l.TokensAt(now) >= float64(c.burst) { // a new one would allow as much
				delete(c.all, id)
			}
		}
	}
	if c.all == nil {
		c.all = map[string]*rate.Limiter{}
	}
	c.all[caller] = rate.NewLimiter(c.each, c.burst)
	return c.all[caller]
}
