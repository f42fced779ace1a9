//! Rows that are made once, kept within the memory budget or on the disk, and read several times.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::RefCountedTempFile;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, SpillManager};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, TryStreamExt, stream};
use lakehouse_core::runtime::{Reservation, spawn};

/// The part of the memory budget that one share's rows may take, as a divisor.
const BUDGET_SHARE: usize = 8;

/// The name of the rows in what the memory budget says.
const CONSUMER: &str = "rows of a shared subplan";

/// The rows of a plan for a known number of readers.
#[derive(Debug)]
pub(super) struct SharedRows {
    plan: Arc<dyn ExecutionPlan>,
    /// The same plan for runs after the first.
    pristine: Arc<dyn ExecutionPlan>,
    readers: AtomicUsize,
    state: Mutex<State>,
    metrics: ExecutionPlanMetricsSet,
}

/// Runs that somebody still reads or will read.
#[derive(Debug, Default)]
struct State {
    runs: Vec<Arc<Run>>,
    is_used: bool,
}

impl SharedRows {
    /// Rows of `plan` without readers; `pristine` gives the same ones when they are asked for again.
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>, pristine: Arc<dyn ExecutionPlan>) -> Arc<Self> {
        Arc::new(Self {
            plan,
            pristine,
            readers: AtomicUsize::new(0),
            state: Mutex::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The number of a new reader, which all others wait for with what they keep.
    pub(super) fn add_reader(&self) -> usize {
        self.readers.fetch_add(1, Ordering::Relaxed)
    }

    /// How many readers there are.
    pub(super) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// What was spilled.
    pub(super) fn metrics(&self) -> MetricsSet {
        self.metrics.clone_inner()
    }

    /// One reader's right to read one partition, in the oldest run in which it has not yet.
    pub(super) fn claim(self: &Arc<Self>, reader: usize, partition: usize) -> Claim {
        let mut state = self.state();
        let known = state
            .runs
            .iter()
            .find(|run| lock(&run.claims).taken.insert((reader, partition)));
        let run = match known {
            Some(run) => Arc::clone(run),
            None => {
                let run = Arc::new(Run::default());
                lock(&run.claims).taken.insert((reader, partition));
                state.runs.push(Arc::clone(&run));
                run
            }
        };
        Claim {
            rows: Arc::clone(self),
            run,
            partition,
        }
    }

    fn partitions(&self) -> usize {
        self.plan.output_partitioning().partition_count()
    }

    /// Starts the plan, all partitions at once: each in a task of its own, so that no reader waits
    /// for another to be polled.
    fn start(&self, context: &Arc<TaskContext>) -> Result<Vec<Load>> {
        let is_first = !std::mem::replace(&mut self.state().is_used, true);
        let plan = match is_first {
            true => Arc::clone(&self.plan),
            false => reset_plan_states(Arc::clone(&self.pristine))?,
        };
        let partitions = self.partitions();
        let pool = context.memory_pool();
        let bytes_max = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / BUDGET_SHARE / partitions.max(1),
            _ => usize::MAX,
        };
        let start = |partition| {
            let input = plan.execute(partition, Arc::clone(context))?;
            let store = Store {
                spill: SpillManager::new(
                    context.runtime_env(),
                    SpillMetrics::new(&self.metrics, partition),
                    input.schema(),
                ),
                reservation: reserve(pool),
                bytes_max,
            };
            let task = spawn(store.fill(input));
            let load = async move {
                let filled = task.await.map_err(DataFusionError::from).flatten();
                filled.map(Arc::new).map_err(Arc::new)
            };
            Ok(load.boxed().shared())
        };
        (0..partitions).map(start).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that cannot be asked back: rows are kept until the last reader had them.
fn reserve(pool: &Arc<dyn MemoryPool>) -> Reservation {
    Reservation::unspillable(pool, CONSUMER)
}

type Load = Shared<BoxFuture<'static, std::result::Result<Arc<Kept>, Arc<DataFusionError>>>>;

/// The plan run once, each partition for each reader once.
#[derive(Default)]
struct Run {
    claims: Mutex<Claims>,
    loads: Mutex<Option<std::result::Result<Vec<Load>, Arc<DataFusionError>>>>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// Which reader reads which partition, and how many are through.
#[derive(Default)]
struct Claims {
    taken: HashSet<(usize, usize)>,
    done: usize,
}

/// One reader's right to one partition's rows; when all have been given back, the rows are gone.
#[derive(Debug)]
pub(super) struct Claim {
    rows: Arc<SharedRows>,
    run: Arc<Run>,
    partition: usize,
}

impl Claim {
    /// The partition's rows; the first who asks starts the plan.
    ///
    /// # Errors
    /// What the plan meets, to everybody who reads the partition.
    pub(super) async fn rows(&self, context: &Arc<TaskContext>) -> Result<Arc<Kept>> {
        let load = {
            let mut loads = lock(&self.run.loads);
            let started = loads
                .get_or_insert_with(|| self.rows.start(context).map_err(Arc::new))
                .as_ref();
            let loads = started.map_err(|error| DataFusionError::Shared(Arc::clone(error)))?;
            loads.get(self.partition).cloned()
        };
        match load {
            Some(load) => load.await.map_err(DataFusionError::Shared),
            None => Err(DataFusionError::Internal(format!(
                "a shared subplan has no partition {}",
                self.partition
            ))),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let all = self.rows.readers() * self.rows.partitions();
        let mut state = self.rows.state();
        let is_over = {
            let mut claims = lock(&self.run.claims);
            claims.done += 1;
            claims.done >= all
        };
        if is_over {
            state.runs.retain(|run| !Arc::ptr_eq(run, &self.run));
        }
    }
}

/// The rows of one partition, all of them.
#[derive(Debug)]
pub(super) enum Kept {
    /// Within the memory budget.
    Memory {
        batches: Vec<RecordBatch>,
        schema: SchemaRef,
        _reservation: Reservation,
    },
    /// In a file of the spill folder.
    Disk {
        file: RefCountedTempFile,
        spill: SpillManager,
    },
}

impl Kept {
    /// The rows from the first on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(self: Arc<Self>) -> Result<SendableRecordBatchStream> {
        match self.as_ref() {
            Self::Memory { schema, .. } => {
                let schema = Arc::clone(schema);
                let batches = (0..).map_while(move |number| match self.as_ref() {
                    Self::Memory { batches, .. } => batches.get(number).cloned().map(Ok),
                    Self::Disk { .. } => None,
                });
                Ok(Box::pin(RecordBatchStreamAdapter::new(
                    schema,
                    stream::iter(batches),
                )))
            }
            Self::Disk { file, spill } => spill.read_spill_as_stream(file.clone(), None),
        }
    }
}

/// Where one partition's rows go.
struct Store {
    spill: SpillManager,
    reservation: Reservation,
    bytes_max: usize,
}

impl Store {
    /// Takes all rows of `input`, into memory as long as they fit.
    async fn fill(mut self, mut input: SendableRecordBatchStream) -> Result<Kept> {
        let mut batches = Vec::new();
        let mut counted = CountedBuffers::default();
        while let Some(batch) = input.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            counted.add(&batch);
            batches.push(batch);
            let fits = counted.bytes <= self.bytes_max;
            if !fits || self.reservation.resize(counted.bytes).is_err() {
                return self.spill(batches, input).await;
            }
        }
        Ok(Kept::Memory {
            batches,
            schema: input.schema(),
            _reservation: self.reservation,
        })
    }

    /// Takes the rest into a file, behind the rows that are in memory.
    async fn spill(
        self,
        batches: Vec<RecordBatch>,
        mut input: SendableRecordBatchStream,
    ) -> Result<Kept> {
        let Self {
            spill, reservation, ..
        } = self;
        let mut file = spill.create_in_progress_file(CONSUMER)?;
        for batch in batches {
            file.append_batch(&batch)?;
        }
        drop(reservation);
        while let Some(batch) = input.try_next().await? {
            if batch.num_rows() > 0 {
                file.append_batch(&batch)?;
            }
        }
        let file = file.finish()?.ok_or_else(|| {
            DataFusionError::Internal("rows were spilled and made no file".to_owned())
        })?;
        Ok(Kept::Disk { file, spill })
    }
}

/// Bytes of batches that are all held, which may be slices of the same buffers.
#[derive(Default)]
struct CountedBuffers {
    /// Their addresses, as numbers: nothing is read through them.
    seen: HashSet<usize>,
    bytes: usize,
}

impl CountedBuffers {
    fn add(&mut self, batch: &RecordBatch) {
        for column in batch.columns() {
            self.add_array(&column.to_data());
        }
    }

    fn add_array(&mut self, array: &ArrayData) {
        let nulls = array.nulls().map(|nulls| nulls.inner().inner());
        for buffer in array.buffers().iter().chain(nulls) {
            if self.seen.insert(buffer.data_ptr().addr().get()) {
                self.bytes = self.bytes.saturating_add(buffer.capacity());
            }
        }
        for child in array.child_data() {
            self.add_array(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::{DataType, Int64Type};
    use datafusion::common::cast::as_int64_array;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_expr::Partitioning;
    use datafusion::physical_expr::expressions::{cast, col};
    use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
    use datafusion::physical_plan::repartition::RepartitionExec;

    use super::*;

    const ROWS: usize = 1000;

    /// One column of numbers or of texts, in two partitions.
    fn plan(column: ArrayRef) -> Arc<dyn ExecutionPlan> {
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let schema = batch.schema();
        let slices = (0..ROWS / 10).map(|number| batch.slice(number * 10, 10));
        let source =
            MemorySourceConfig::try_new_exec(&[slices.collect()], Arc::clone(&schema), None);
        let column = col("n", &schema).unwrap();
        let dealt = Partitioning::Hash(vec![Arc::clone(&column)], 2);
        let dealt = RepartitionExec::try_new(source.unwrap(), dealt).unwrap();
        let number = cast(column, &schema, DataType::Int64).unwrap();
        let numbers = vec![ProjectionExpr::new(number, "n")];
        Arc::new(ProjectionExec::try_new(numbers, Arc::new(dealt)).unwrap())
    }

    fn numbers() -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(0..ROWS as i64))
    }

    fn rows(plan: Arc<dyn ExecutionPlan>) -> Arc<SharedRows> {
        let rows = SharedRows::new(Arc::clone(&plan), plan);
        rows.add_reader();
        rows.add_reader();
        rows
    }

    async fn read(claim: Claim, context: &Arc<TaskContext>) -> Result<Vec<i64>> {
        let batches: Vec<_> = claim.rows(context).await?.read()?.try_collect().await?;
        let columns = batches.iter().map(|batch| as_int64_array(batch.column(0)));
        Ok(columns
            .flat_map(|column| column.unwrap().values().to_vec())
            .collect())
    }

    #[tokio::test]
    async fn a_reader_that_is_not_polled_any_more_holds_nobody_up() {
        let rows = rows(plan(numbers()));
        let context = Arc::new(TaskContext::default());
        let mut stalled = pin!(read(rows.claim(0, 0), &context));
        assert!(futures::poll!(stalled.as_mut()).is_pending());
        let mut all = read(rows.claim(1, 0), &context).await.unwrap();
        all.extend(read(rows.claim(1, 1), &context).await.unwrap());
        all.sort_unstable();
        assert_eq!(all, (0..ROWS as i64).collect::<Vec<_>>());
        assert!(!stalled.await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn rows_are_gone_when_all_readers_had_them() {
        let rows = rows(plan(numbers()));
        let context = Arc::new(TaskContext::default());
        for (reader, partition) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
            assert!(rows.state().runs.len() < 2);
            read(rows.claim(reader, partition), &context).await.unwrap();
        }
        assert!(rows.state().runs.is_empty());
        assert!(!read(rows.claim(0, 0), &context).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn every_reader_gets_the_error() {
        let texts = (0..ROWS).map(|number| if number == 700 { "x" } else { "1" });
        let texts: ArrayRef = Arc::new(arrow::array::StringArray::from_iter_values(texts));
        let rows = rows(plan(texts));
        let context = Arc::new(TaskContext::default());
        let mut failed = 0;
        for reader in 0..2 {
            for partition in 0..2 {
                if let Err(error) = read(rows.claim(reader, partition), &context).await {
                    assert!(error.to_string().contains("'x'"), "{error}");
                    failed += 1;
                }
            }
        }
        assert_eq!(failed, 2);
    }

    #[tokio::test]
    async fn rows_beyond_the_budget_are_read_from_the_disk_by_all() {
        let rows = rows(plan(numbers()));
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(16 << 10, 1.0);
        let runtime = runtime.build_arc().unwrap();
        let context = Arc::new(TaskContext::default().with_runtime(Arc::clone(&runtime)));
        let first = read(rows.claim(0, 0), &context).await.unwrap();
        assert_eq!(read(rows.claim(1, 0), &context).await.unwrap(), first);
        assert_eq!(rows.metrics().spilled_rows(), Some(ROWS));
        assert_eq!(runtime.memory_pool.reserved(), 0);
    }

    #[test]
    fn slices_of_one_buffer_count_once() {
        let column = numbers();
        let batch = RecordBatch::try_from_iter([("n", Arc::clone(&column))]).unwrap();
        let mut counted = CountedBuffers::default();
        counted.add(&batch.slice(0, 10));
        counted.add(&batch.slice(10, 10));
        let values = column.as_primitive::<Int64Type>().values();
        assert_eq!(counted.bytes, values.inner().capacity());
    }
}
