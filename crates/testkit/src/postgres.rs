//! Postgres for tests: one database per test, in the server of `DATABASE_URL` or in an embedded cluster of this process.

use baton_indexer::embedded::{EmbeddedConfig, EmbeddedPostgres};
use eyre::{Context as _, Result, eyre};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::sync::OnceCell;
use url::Url;

/// The cluster of this test process; its server ends with the process.
static CLUSTER: OnceCell<EmbeddedPostgres> = OnceCell::const_new();

/// An empty database for one test, removed with the value.
#[derive(Debug)]
pub struct TestDatabase {
    server: Url,
    name: String,
    url: String,
    /// Whether the server outlives this process, so that the database must be removed.
    shared: bool,
}

impl TestDatabase {
    /// Creates a database with a name of its own.
    ///
    /// # Errors
    /// If there is neither `DATABASE_URL` nor an embedded Postgres, or the server refuses.
    pub async fn create() -> Result<Self> {
        let given = std::env::var("DATABASE_URL");
        let shared = given.is_ok();
        let server = match given {
            Ok(url) => url,
            Err(_) => {
                CLUSTER.get_or_try_init(|| EmbeddedPostgres::start(EmbeddedConfig::default())).await?.url("postgres")
            }
        };
        let server = Url::parse(&server).wrap_err("DATABASE_URL is not a URL")?;
        let name = format!("baton_test_{:016x}", rand::random::<u64>());
        let database = Self { url: with_path(&server, &name), server, name, shared };
        database.administer(format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes the database, with whatever connections it has.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn drop_now(&self) -> Result<()> {
        self.administer(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await
    }

    /// Removes the database and creates it anew, empty.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn recreate(&self) -> Result<()> {
        self.drop_now().await?;
        self.administer(format!("CREATE DATABASE {}", self.name)).await
    }

    async fn administer(&self, statement: String) -> Result<()> {
        administer(&self.server, statement).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.shared {
            return;
        }
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // A thread of its own: this may run inside a runtime, which must not be blocked on itself.
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(administer(&server, statement))
        });
        if !matches!(worker.join(), Ok(Ok(()))) {
            tracing::warn!(database = self.name, "the test database could not be removed");
        }
    }
}

async fn administer(server: &Url, statement: String) -> Result<()> {
    let mut connection =
        PgConnection::connect(server.as_str()).await.map_err(|e| eyre!("Postgres does not answer: {e}"))?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await?;
    Ok(())
}

fn with_path(server: &Url, name: &str) -> String {
    let mut url = server.clone();
    url.set_path(name);
    url.to_string()
}
