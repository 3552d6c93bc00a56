package handlers

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/understudy-id/understudy/storage"
)

// metrics are what the second listener tells about the first.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	logouts  *prometheus.CounterVec
	webhooks *prometheus.CounterVec
	mails    *prometheus.CounterVec
	draining atomic.Bool
}

func newMetrics(store *storage.Store) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "understudy_http_request_seconds", Help: "How long answers took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		logouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_logout_tokens_total", Help: "Logout tokens sent to clients, by what came of it: delivered, retry or failed.",
		}, []string{"result"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_webhook_deliveries_total", Help: "Attempts to send events to webhooks, by what came of it: delivered, retry or failed.",
		}, []string{"result"}),
	}
	m.mails = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "understudy_mails_total", Help: "Attempts to send mails, by what came of it: delivered, retry or failed.",
	}, []string{"result"})
	m.registry.MustRegister(m.requests, m.seconds, m.logouts, m.webhooks, m.mails, backlog{store},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// Ops returns what the second listener answers: /healthz says that the process
// lives, /readyz that it can serve, /metrics how it does.
func (s *Server) Ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if s.metrics.draining.Load() || s.store.Ping(ctx) != nil {
			w.Header().Set("Retry-After", "2")
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// ObserveLogout counts what came of sending a logout token.
func (s *Server) ObserveLogout(result string) { s.metrics.logouts.WithLabelValues(result).Inc() }

// ObserveMail counts what came of sending a mail.
func (s *Server) ObserveMail(result string) { s.metrics.mails.WithLabelValues(result).Inc() }

// ObserveWebhook counts what came of sending an event to a webhook.
func (s *Server) ObserveWebhook(result string) { s.metrics.webhooks.WithLabelValues(result).Inc() }

// backlog tells what webhooks still have to get, as the database has it when it is asked.
type backlog struct{ store *storage.Store }

var (
	backlogPending  = prometheus.NewDesc("understudy_webhook_pending", "Deliveries that wait, of active webhooks.", nil, nil)
	backlogOldest   = prometheus.NewDesc("understudy_webhook_oldest_pending_seconds", "Age of the oldest delivery that waits.", nil, nil)
	backlogEvents   = prometheus.NewDesc("understudy_webhook_events_behind", "Events that were not looked at yet for the webhook furthest behind.", nil, nil)
	backlogDisabled = prometheus.NewDesc("understudy_webhooks_disabled", "Webhooks that were disabled because they failed or are gone.", nil, nil)
)

// Describe implements prometheus.Collector.
func (backlog) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogPending, backlogOldest, backlogEvents, backlogDisabled} {
		all <- d
	}
}

// Collect implements prometheus.Collector. Without a database there is nothing to tell.
func (b backlog) Collect(all chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	found, err := b.store.Backlog(ctx)
	if err != nil {
		return
	}
	age := 0.0
	if found.Oldest.Set() {
		age = max(0, time.Since(found.Oldest.Time()).Seconds())
	}
	for d, value := range map[*prometheus.Desc]float64{
		backlogPending: float64(found.Deliveries), backlogOldest: age, backlogEvents: float64(found.Events), backlogDisabled: float64(found.Disabled),
	} {
		all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
}

// Drain makes /readyz say no, so that no new requests are sent here.
func (s *Server) Drain() { s.metrics.draining.Store(true) }
