//! One Prometheus registry, fed by OpenTelemetry instruments and, for histograms, by collectors of our own:
//! OpenTelemetry has no observable histogram.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Encoder as _, Registry, TextEncoder, core::Collector};

/// Most series of one metric: 10,000 routes with a few methods and classes each.
const MAX_SERIES: usize = 500_000;

/// Why metrics cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The OpenTelemetry pipeline was not built.
    #[error("the metrics pipeline cannot be built")]
    Pipeline(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// A collector was refused, or the registry cannot be written.
    #[error("the metrics registry failed")]
    Registry(#[from] prometheus::Error),
}

/// One observed value with its labels.
pub type Sample<V> = (V, Vec<(&'static str, String)>);

/// The metrics of one process.
pub struct Exporter {
    registry: Registry,
    // Dropping the provider would end the instruments.
    _provider: SdkMeterProvider,
    meter: Meter,
}

impl Exporter {
    /// An empty registry.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_counter_suffixes()
            .without_units()
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        let every_instrument = |_: &Instrument| Stream::builder().with_cardinality_limit(MAX_SERIES).build().ok();
        let provider = SdkMeterProvider::builder().with_reader(reader).with_view(every_instrument).build();
        let meter = provider.meter("novagate");
        Ok(Self { registry, _provider: provider, meter })
    }

    /// A counter whose values are read at each scrape.
    pub fn counter<F>(&self, name: &'static str, help: &'static str, read: F)
    where
        F: Fn(&mut dyn FnMut(Sample<u64>)) + Send + Sync + 'static,
    {
        let callback = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
            read(&mut |(value, labels)| observer.observe(value, &attributes(labels)));
        };
        // The provider keeps the callback; the handle itself has no use.
        let _ = self.meter.u64_observable_counter(name).with_description(help).with_callback(callback).build();
    }

    /// A gauge whose values are read at each scrape.
    pub fn gauge<F>(&self, name: &'static str, help: &'static str, read: F)
    where
        F: Fn(&mut dyn FnMut(Sample<f64>)) + Send + Sync + 'static,
    {
        let callback = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<f64>| {
            read(&mut |(value, labels)| observer.observe(value, &attributes(labels)));
        };
        let _ = self.meter.f64_observable_gauge(name).with_description(help).with_callback(callback).build();
    }

    /// A collector of our own.
    pub fn collector(&self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        Ok(self.registry.register(Box::new(collector))?)
    }

    /// The Prometheus text exposition of everything.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn attributes(labels: Vec<(&'static str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect()
}
