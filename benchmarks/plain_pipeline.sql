-- The example pipeline's tables in plain DuckDB SQL, with its checks written by hand: what the framework is measured against.
-- Variables, set by plain_pipeline.py: retail (folder of Parquet files), landing (what was fetched: page, API pages, rates,
-- event log). The line `-- python: model` is where the model step runs, the same Python as in the pipeline.

SET TimeZone = 'UTC';
SET preserve_insertion_order = false;
CREATE SCHEMA extract;
CREATE SCHEMA transform;
CREATE SCHEMA load;
CREATE SCHEMA quarantine;

CREATE TABLE quarantine.rejects (table_name VARCHAR, reason_code VARCHAR, payload JSON);
CREATE TABLE quarantine.warnings (check_name VARCHAR, failing BIGINT);

CREATE MACRO must_be_none(what, failing) AS CASE WHEN failing > 0 THEN error(failing || ' rows: ' || what) END;
CREATE MACRO must_be_equal(what, a, b) AS CASE WHEN a IS DISTINCT FROM b THEN error(a || ' is not ' || b || ': ' || what) END;
CREATE MACRO week_of(day) AS (day - DATE '2016-12-26') // 7 + 1;

-- extract

CREATE TABLE extract.raw_campaign_descriptions AS
SELECT cells[1]::BIGINT AS campaign_id, cells[2] AS campaign_type, cells[3]::DATE AS start_date, cells[4]::DATE AS end_date
FROM (
    SELECT regexp_extract_all(line, '<td>([^<]*)</td>', 1) AS cells
    FROM (SELECT unnest(string_split(content, chr(10))) AS line FROM read_text(getvariable('landing') || '/campaigns.html'))
    WHERE line LIKE '<tr><td>%'
);
SELECT must_be_none('campaign descriptions with a null', count(*) FILTER (COLUMNS(*)::VARCHAR IS NULL))
FROM extract.raw_campaign_descriptions;
SELECT must_be_none('repeated campaign_id', count(*) - count(DISTINCT campaign_id)) FROM extract.raw_campaign_descriptions;

CREATE TABLE extract.raw_campaigns AS
SELECT unnest(data, recursive := true)
FROM read_json(getvariable('landing') || '/campaigns_*.json',
               columns = {data: 'STRUCT(campaign_id BIGINT, household_id BIGINT)[]'}, maximum_object_size = 100000000);

CREATE TABLE extract.raw_coupons AS
SELECT unnest(data, recursive := true)
FROM read_json(getvariable('landing') || '/coupons_*.json',
               columns = {data: 'STRUCT(coupon_upc BIGINT, product_id BIGINT, campaign_id BIGINT)[]'},
               maximum_object_size = 100000000);

CREATE TABLE extract.raw_demographics AS
SELECT household_id, age, income, home_ownership, marital_status, household_size, household_comp, kids_count
FROM read_parquet(getvariable('retail') || '/demographics.parquet');
SELECT must_be_none('demographics without household_id', count(*) FILTER (household_id IS NULL)),
       must_be_none('repeated household_id', count(*) - count(DISTINCT household_id))
FROM extract.raw_demographics;

CREATE TABLE extract.raw_exchange_rates AS
SELECT "Date" AS published_on, "USD" AS usd
FROM read_csv(getvariable('landing') || '/eurofxref-hist.csv', header = true, all_varchar = false, auto_detect = true,
              types = {'Date': 'DATE', 'USD': 'VARCHAR'});
SELECT must_be_none('rates without a day', count(*) FILTER (published_on IS NULL)),
       must_be_none('repeated published_on', count(*) - count(DISTINCT published_on))
FROM extract.raw_exchange_rates;

CREATE TABLE extract.raw_products AS
SELECT product_id, manufacturer_id, department, brand, product_category, product_type, package_size
FROM read_parquet(getvariable('retail') || '/products.parquet');

CREATE TABLE extract.raw_promotions AS
SELECT product_id, store_id, display_location, mailer_location, week
FROM read_parquet(getvariable('retail') || '/promotions.parquet');

CREATE TABLE extract.raw_redemptions AS
SELECT 0::INTEGER AS event_partition, row_number() OVER () - 1 AS event_offset,
       payload->>'event_id' AS event_id, (payload->>'household_id')::BIGINT AS household_id,
       (payload->>'coupon_upc')::BIGINT AS coupon_upc, (payload->>'campaign_id')::BIGINT AS campaign_id,
       (payload->>'redemption_date')::DATE AS redemption_date
FROM (
    SELECT line::JSON AS payload
    FROM read_csv(getvariable('landing') || '/redemptions.ndjson', columns = {'line': 'VARCHAR'}, header = false,
                  delim = chr(1), quote = '', escape = '', auto_detect = false)
);
SELECT must_be_none('events without a place', count(*) FILTER (event_offset < 0 OR event_offset IS NULL)),
       must_be_none('repeated offset', count(*) - count(DISTINCT event_offset))
FROM extract.raw_redemptions;

CREATE TABLE extract.raw_transactions AS
SELECT household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, coupon_disc, coupon_match_disc, week,
       transaction_timestamp::TIMESTAMP AS transaction_timestamp
FROM read_parquet(getvariable('retail') || '/transactions.parquet');
SELECT must_be_none('amounts outside of DECIMAL(12, 2)', count(*) FILTER (
    NOT coalesce(sales_value BETWEEN -1e9 AND 1e9 AND retail_disc BETWEEN -1e9 AND 1e9
                 AND coupon_disc BETWEEN -1e9 AND 1e9 AND coupon_match_disc BETWEEN -1e9 AND 1e9, false)))
FROM extract.raw_transactions;

-- transform

CREATE TABLE transform.campaigns AS
SELECT c.campaign_id, c.household_id, d.campaign_type, d.start_date, d.end_date
FROM extract.raw_campaigns AS c LEFT JOIN extract.raw_campaign_descriptions AS d USING (campaign_id);
SELECT must_be_none('campaigns against their rules', count(*) FILTER (NOT coalesce(
           campaign_id > 0 AND household_id > 0 AND campaign_type IN ('Type A', 'Type B', 'Type C')
           AND end_date >= start_date, false))),
       must_be_equal('campaigns preserve raw_campaigns', count(*), (SELECT count(*) FROM extract.raw_campaigns))
FROM transform.campaigns;
SELECT must_be_none('repeated campaign and household', count(*))
FROM (SELECT 1 FROM transform.campaigns GROUP BY campaign_id, household_id HAVING count(*) > 1);

CREATE TABLE transform.exchange_rates AS
SELECT published_on, TRY_CAST(usd AS DECIMAL(12, 6)) AS usd_per_eur FROM extract.raw_exchange_rates
WHERE TRY_CAST(usd AS DECIMAL(12, 6)) > 0;
INSERT INTO quarantine.rejects
SELECT 'exchange_rates', 'usd_per_eur', to_json(r) FROM extract.raw_exchange_rates AS r
WHERE NOT coalesce(TRY_CAST(usd AS DECIMAL(12, 6)) > 0, false);

CREATE TABLE transform.products AS
SELECT product_id, manufacturer_id, nullif(trim(department), '') AS department, nullif(trim(brand), '') AS brand,
       nullif(trim(product_category), '') AS product_category, nullif(trim(product_type), '') AS product_type,
       nullif(trim(package_size), '') AS package_size
FROM extract.raw_products;
SELECT must_be_none('products against their rules', count(*) FILTER (NOT coalesce(
           product_id > 0 AND manufacturer_id > 0 AND length(department) >= 1 AND brand IN ('National', 'Private'), false))),
       must_be_none('repeated product_id', count(*) - count(DISTINCT product_id)),
       must_be_equal('products preserve raw_products', count(*), (SELECT count(*) FROM extract.raw_products))
FROM transform.products;

-- Of a repeated (product, store, week) the row that says more stays. The repeats are found once, then the rest is written
-- once: on these rows about as fast as QUALIFY row_number() alone, which would leave the rejects still to be found.
CREATE TEMP TABLE repeated AS
SELECT product_id, store_id, week FROM extract.raw_promotions GROUP BY ALL HAVING count(*) > 1;
CREATE TEMP TABLE losers AS
SELECT rowid AS row_id, row_number() OVER (
           PARTITION BY product_id, store_id, week ORDER BY display_location DESC, mailer_location DESC) AS place
FROM extract.raw_promotions SEMI JOIN repeated USING (product_id, store_id, week)
QUALIFY place > 1;
INSERT INTO quarantine.rejects
SELECT 'promotions', 'unique_key.repeat', to_json(p) FROM extract.raw_promotions AS p
WHERE rowid IN (SELECT row_id FROM losers);
CREATE TABLE transform.promotions AS
SELECT product_id, store_id, week, display_location, mailer_location FROM extract.raw_promotions
WHERE rowid NOT IN (SELECT row_id FROM losers);
SELECT must_be_none('promotions against their rules', count(*) FILTER (NOT coalesce(
           product_id > 0 AND store_id > 0 AND week BETWEEN 1 AND 53
           AND display_location IN ('0', '1', '2', '3', '4', '5', '6', '7', '9', 'A')
           AND mailer_location IN ('0', 'A', 'C', 'D', 'F', 'H', 'J', 'L', 'P', 'X', 'Z'), false))),
       must_be_equal('promotions and their rejects are raw_promotions', count(*) + (SELECT count(*) FROM losers),
                     (SELECT count(*) FROM extract.raw_promotions))
FROM transform.promotions;

CREATE TABLE transform.transactions AS
SELECT basket_id, product_id, household_id, store_id, transaction_timestamp::TIMESTAMPTZ AS sold_at,
       timezone('America/New_York', transaction_timestamp::TIMESTAMPTZ)::DATE AS sold_on, week, quantity,
       sales_value::DECIMAL(12, 2) AS sales_value, retail_disc::DECIMAL(12, 2) AS retail_disc,
       coupon_disc::DECIMAL(12, 2) AS coupon_disc, coupon_match_disc::DECIMAL(12, 2) AS coupon_match_disc
FROM extract.raw_transactions;
SELECT must_be_none('transactions against their rules', count(*) FILTER (NOT coalesce(
           basket_id > 0 AND product_id > 0 AND household_id > 0 AND store_id > 0 AND sold_at IS NOT NULL
           AND week BETWEEN 1 AND 53 AND quantity >= 0 AND sales_value >= 0 AND retail_disc >= 0 AND coupon_disc >= 0
           AND coupon_match_disc >= 0 AND week = week_of(sold_on), false))),
       must_be_equal('transactions preserve raw_transactions', count(*), (SELECT count(*) FROM extract.raw_transactions))
FROM transform.transactions;
SELECT must_be_none('repeated basket and product', count(*))
FROM (SELECT 1 FROM transform.transactions GROUP BY basket_id, product_id HAVING count(*) > 1);

CREATE TABLE transform.coupons AS
SELECT DISTINCT campaign_id, coupon_upc, product_id FROM extract.raw_coupons;
INSERT INTO quarantine.rejects
SELECT 'coupons', 'unique_key.repeat', to_json(r)
FROM (SELECT * FROM extract.raw_coupons
      QUALIFY row_number() OVER (PARTITION BY campaign_id, coupon_upc, product_id) > 1) AS r;
SELECT must_be_none('coupons against their rules', count(*) FILTER (NOT coalesce(
           campaign_id > 0 AND coupon_upc > 0 AND product_id > 0, false))),
       must_be_none('coupons of unknown campaigns', count(*) FILTER (
           campaign_id NOT IN (SELECT campaign_id FROM extract.raw_campaign_descriptions))),
       must_be_equal('coupons and their rejects are raw_coupons',
                     count(*) + (SELECT count(*) FROM quarantine.rejects WHERE table_name = 'coupons'),
                     (SELECT count(*) FROM extract.raw_coupons))
FROM transform.coupons;
INSERT INTO quarantine.warnings
SELECT 'coupons of unknown products', count(*) FROM transform.coupons ANTI JOIN transform.products USING (product_id);

CREATE TABLE transform.purchases AS
SELECT t.basket_id, t.product_id, t.household_id, t.sold_on, t.week, t.quantity, t.sales_value, t.retail_disc, t.coupon_disc,
       t.coupon_match_disc, p.department, p.brand, p.product_category,
       coalesce(m.display_location <> '0', false) AS is_displayed, coalesce(m.mailer_location <> '0', false) AS is_mailed,
       d.age, d.income, d.household_size
FROM transform.transactions AS t
LEFT JOIN transform.products AS p USING (product_id)
LEFT JOIN transform.promotions AS m ON (m.product_id, m.store_id, m.week) = (t.product_id, t.store_id, t.week)
LEFT JOIN extract.raw_demographics AS d USING (household_id);
SELECT must_be_none('purchases with a null', count(*) FILTER (
           basket_id IS NULL OR product_id IS NULL OR household_id IS NULL OR sold_on IS NULL OR week IS NULL
           OR quantity IS NULL OR sales_value IS NULL OR retail_disc IS NULL OR coupon_disc IS NULL
           OR coupon_match_disc IS NULL OR is_displayed IS NULL OR is_mailed IS NULL)),
       must_be_equal('purchases preserve transactions', count(*), (SELECT count(*) FROM transform.transactions))
FROM transform.purchases;
SELECT must_be_none('repeated basket and product', count(*))
FROM (SELECT 1 FROM transform.purchases GROUP BY basket_id, product_id HAVING count(*) > 1);
INSERT INTO quarantine.warnings
SELECT 'purchases of unknown products', count(*) FROM transform.purchases ANTI JOIN transform.products USING (product_id)
UNION ALL
SELECT 'purchases of unknown households', count(*)
FROM transform.purchases ANTI JOIN extract.raw_demographics USING (household_id)
UNION ALL
SELECT 'thousands of units that are no fuel', count(*) FROM transform.purchases
WHERE quantity > 1000 AND NOT coalesce(product_category IN ('FUEL', 'COUPON/MISC ITEMS'), false)
UNION ALL
SELECT 'sales without units', count(*) FROM transform.purchases WHERE quantity = 0 AND sales_value > 0;

CREATE TABLE transform.redemptions AS
SELECT event_id, event_partition, event_offset, campaign_id, household_id, coupon_upc, redemption_date
FROM extract.raw_redemptions
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY event_partition, event_offset) = 1;
INSERT INTO quarantine.rejects
SELECT 'redemptions', 'unique_key.repeat', to_json(r)
FROM (SELECT * FROM extract.raw_redemptions
      QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY event_partition, event_offset) > 1) AS r;
SELECT must_be_none('redemptions against their rules', count(*) FILTER (NOT coalesce(
           event_id IS NOT NULL AND event_partition >= 0 AND event_offset >= 0 AND campaign_id > 0 AND household_id > 0
           AND coupon_upc > 0 AND redemption_date IS NOT NULL, false)))
FROM transform.redemptions;
SELECT must_be_none('redemptions of unknown coupons', count(*))
FROM transform.redemptions ANTI JOIN transform.coupons USING (campaign_id, coupon_upc);
SELECT must_be_none('redemptions that were not sent', count(*))
FROM transform.redemptions ANTI JOIN transform.campaigns USING (campaign_id, household_id);
SELECT must_be_none('redemptions outside of their campaign', count(*))
FROM transform.redemptions JOIN transform.campaigns USING (campaign_id, household_id)
WHERE NOT redemption_date BETWEEN start_date AND end_date;

CREATE TABLE transform.redemption_features AS
WITH targets AS (
    SELECT *, greatest(least(start_date - (SELECT min(sold_on) FROM transform.purchases), 56), 0) AS history_days
    FROM transform.campaigns
), redeemed AS (
    SELECT campaign_id, household_id, min(redemption_date) AS first_redeemed FROM transform.redemptions GROUP BY ALL
), bought AS (
    SELECT t.campaign_id, t.start_date, p.*, t.start_date - p.sold_on AS days_before
    FROM targets AS t JOIN transform.purchases AS p USING (household_id)
    WHERE t.start_date - p.sold_on BETWEEN 1 AND 56
), history AS (
    SELECT campaign_id, household_id, count(DISTINCT basket_id) AS baskets, count(*) AS lines, sum(sales_value) AS sales,
           sum(retail_disc) AS discount, sum(coupon_match_disc) AS matched, count(*) FILTER (coupon_disc > 0) AS coupon_lines,
           count(*) FILTER (is_displayed OR is_mailed) AS promoted_lines, min(days_before) AS days_since_purchase
    FROM bought GROUP BY ALL
), couponed AS (
    SELECT campaign_id, household_id, sum(sales_value) AS campaign_sales
    FROM bought SEMI JOIN transform.coupons USING (campaign_id, product_id) GROUP BY ALL
), earlier AS (
    SELECT t.campaign_id, t.household_id, count(*) AS earlier,
           count(*) FILTER (o.first_redeemed < t.start_date) AS earlier_redeemed
    FROM targets AS t
    JOIN (SELECT household_id, start_date, first_redeemed FROM targets LEFT JOIN redeemed USING (campaign_id, household_id)) AS o
      ON o.household_id = t.household_id AND o.start_date < t.start_date
    GROUP BY ALL
)
SELECT campaign_id, household_id, start_date, end_date, first_redeemed IS NOT NULL AS has_redeemed,
       coalesce(end_date <= (SELECT max(sold_on) FROM transform.purchases), false) AS is_settled, history_days,
       coalesce(baskets / nullif(history_days / 7, 0), 0)::DOUBLE AS baskets_per_week,
       coalesce(sales::DOUBLE / nullif(history_days / 7, 0), 0)::DOUBLE AS sales_per_week,
       coalesce(campaign_sales::DOUBLE / nullif(history_days / 7, 0), 0)::DOUBLE AS campaign_sales_per_week,
       coalesce(coupon_lines / nullif(history_days / 7, 0), 0)::DOUBLE AS coupon_lines_per_week,
       coalesce(promoted_lines / nullif(lines, 0), 0)::DOUBLE AS promoted_share,
       coalesce(discount::DOUBLE / nullif((sales + discount + matched)::DOUBLE, 0), 0)::DOUBLE AS discount_share,
       coalesce(days_since_purchase, 56)::DOUBLE AS days_since_purchase,
       coalesce(earlier_redeemed / nullif(earlier, 0), 0)::DOUBLE AS redeemed_share,
       (campaign_type = 'Type A')::DOUBLE AS is_type_a
FROM targets LEFT JOIN history USING (campaign_id, household_id) LEFT JOIN couponed USING (campaign_id, household_id)
LEFT JOIN earlier USING (campaign_id, household_id) LEFT JOIN redeemed USING (campaign_id, household_id);
SELECT must_be_none('features against their rules', count(*) FILTER (NOT coalesce(
           has_redeemed IS NOT NULL AND is_settled IS NOT NULL AND history_days IS NOT NULL AND baskets_per_week >= 0 AND sales_per_week >= 0
           AND campaign_sales_per_week >= 0 AND coupon_lines_per_week >= 0 AND promoted_share IS NOT NULL
           AND discount_share BETWEEN 0 AND 1 AND days_since_purchase >= 0 AND redeemed_share IS NOT NULL
           AND is_type_a IS NOT NULL AND start_date IS NOT NULL AND end_date IS NOT NULL, false))),
       must_be_equal('features preserve campaigns', count(*), (SELECT count(*) FROM transform.campaigns))
FROM transform.redemption_features;
SELECT must_be_none('repeated campaign and household', count(*))
FROM (SELECT 1 FROM transform.redemption_features GROUP BY campaign_id, household_id HAVING count(*) > 1);

-- python: model

SELECT must_be_none('scores against their rules', count(*) FILTER (NOT coalesce(
           split IN ('train', 'test', 'unused') AND has_redeemed IS NOT NULL AND probability BETWEEN 0 AND 1
           AND margin IS NOT NULL AND length(model_hash) = 16, false))),
       must_be_equal('scores preserve features', count(*), (SELECT count(*) FROM transform.redemption_features))
FROM transform.redemption_scores;
SELECT must_be_none('repeated campaign and household', count(*))
FROM (SELECT 1 FROM transform.redemption_scores GROUP BY campaign_id, household_id HAVING count(*) > 1);
SELECT must_be_none('contributions with a null', count(*) FILTER (
           campaign_id IS NULL OR household_id IS NULL OR feature IS NULL OR value IS NULL OR coefficient IS NULL
           OR contribution IS NULL))
FROM transform.redemption_contributions;
SELECT must_be_none('repeated contribution', count(*))
FROM (SELECT 1 FROM transform.redemption_contributions GROUP BY campaign_id, household_id, feature HAVING count(*) > 1);
SELECT must_be_none('contributions that do not add up', count(*) FILTER (NOT coalesce(abs(margin - total) <= 1e-9, false)))
FROM transform.redemption_scores LEFT JOIN (
    SELECT campaign_id, household_id, sum(contribution) AS total FROM transform.redemption_contributions GROUP BY ALL
) USING (campaign_id, household_id);
SELECT must_be_none('metrics against their rules', count(*) FILTER (NOT coalesce(
           split IN ('train', 'test') AND metric IN ('auc', 'log_loss', 'brier') AND rows > 0 AND redeeming >= 0, false))),
       must_be_none('repeated metric', count(*) - count(DISTINCT (split, metric)))
FROM transform.redemption_model_metrics;
INSERT INTO quarantine.warnings
SELECT 'metrics no better than the base rate', count(*) FROM transform.redemption_model_metrics
WHERE split = 'test' AND NOT coalesce(if(metric = 'auc', low > baseline, high < baseline), false);

-- load

CREATE TABLE load.department_weekly_sales AS
SELECT coalesce(department, 'UNKNOWN') AS department, week, date_trunc('week', sold_on)::DATE AS week_starts_on,
       count(DISTINCT household_id) AS households, count(DISTINCT basket_id) AS baskets, count(*) AS lines,
       sum(sales_value)::DECIMAL(14, 2) AS sales_value, sum(retail_disc)::DECIMAL(14, 2) AS retail_disc,
       sum(coupon_disc)::DECIMAL(14, 2) AS coupon_disc, sum(coupon_match_disc)::DECIMAL(14, 2) AS coupon_match_disc
FROM transform.purchases GROUP BY ALL;
SELECT must_be_none('department weeks against their rules', count(*) FILTER (NOT coalesce(
           department IS NOT NULL AND week IS NOT NULL AND week_starts_on IS NOT NULL AND households > 0 AND baskets > 0
           AND lines > 0 AND sales_value >= 0 AND retail_disc >= 0 AND coupon_disc >= 0 AND coupon_match_disc >= 0, false))),
       must_be_none('repeated department and week', count(*) - count(DISTINCT (department, week)))
FROM load.department_weekly_sales;
SELECT must_be_none('weeks that do not add up to the transactions', count(*))
FROM (SELECT week, sum(lines) AS lines, sum(sales_value) AS sales, sum(retail_disc) AS retail, sum(coupon_disc) AS coupon,
             sum(coupon_match_disc) AS matched FROM load.department_weekly_sales GROUP BY week) AS mart
FULL JOIN (SELECT week, count(*) AS lines, sum(sales_value) AS sales, sum(retail_disc) AS retail, sum(coupon_disc) AS coupon,
                  sum(coupon_match_disc) AS matched FROM transform.transactions GROUP BY week) AS truth USING (week)
WHERE (mart.lines, mart.sales, mart.retail, mart.coupon, mart.matched)
      IS DISTINCT FROM (truth.lines, truth.sales, truth.retail, truth.coupon, truth.matched);

CREATE TABLE load.campaign_performance AS
WITH rates AS (
    SELECT d.sold_on, r.usd_per_eur
    FROM (SELECT DISTINCT sold_on FROM transform.purchases) AS d
    ASOF LEFT JOIN transform.exchange_rates AS r ON d.sold_on >= r.published_on
), days AS (
    SELECT c.campaign_id, coalesce(p.department, 'UNKNOWN') AS department, p.week, p.sold_on, sum(p.sales_value) AS sales_value,
           sum(p.retail_disc) AS retail_disc, sum(p.coupon_disc) AS coupon_disc, sum(p.coupon_match_disc) AS coupon_match_disc
    FROM transform.campaigns AS c JOIN transform.purchases AS p
      ON p.household_id = c.household_id AND p.sold_on BETWEEN c.start_date AND c.end_date
    GROUP BY ALL
), sold AS (
    SELECT campaign_id, department, week, date_trunc('week', sold_on)::DATE AS week_starts_on, sum(sales_value) AS sales_value,
           sum(retail_disc) AS retail_disc, sum(coupon_disc) AS coupon_disc, sum(coupon_match_disc) AS coupon_match_disc,
           if(count(*) > count(usd_per_eur), NULL,
              sum((sales_value::DOUBLE / usd_per_eur::DOUBLE)::DECIMAL(18, 6))) AS sales_value_eur
    FROM days LEFT JOIN rates USING (sold_on) GROUP BY ALL
), departments AS (
    SELECT campaign_id, coupon_upc, coalesce(department, 'UNKNOWN') AS department
    FROM transform.coupons LEFT JOIN transform.products USING (product_id)
    GROUP BY campaign_id, coupon_upc, coalesce(department, 'UNKNOWN')
    QUALIFY row_number() OVER (PARTITION BY campaign_id, coupon_upc ORDER BY count(*) DESC, coalesce(department, 'UNKNOWN')) = 1
), redeemed AS (
    SELECT r.campaign_id, coalesce(d.department, 'UNKNOWN') AS department, week_of(r.redemption_date) AS week,
           date_trunc('week', r.redemption_date)::DATE AS week_starts_on,
           count(DISTINCT r.household_id) AS households_redeeming, count(*) AS redemptions
    FROM transform.redemptions AS r LEFT JOIN departments AS d USING (campaign_id, coupon_upc) GROUP BY ALL
), targeted AS (
    SELECT campaign_id, count(*) AS households_targeted FROM transform.campaigns GROUP BY ALL
)
SELECT campaign_id, department, week, week_starts_on, households_targeted,
       coalesce(households_redeeming, 0) AS households_redeeming, coalesce(redemptions, 0) AS redemptions,
       coalesce(sales_value, 0)::DECIMAL(14, 2) AS sales_value, coalesce(retail_disc, 0)::DECIMAL(14, 2) AS retail_disc,
       coalesce(coupon_disc, 0)::DECIMAL(14, 2) AS coupon_disc,
       coalesce(coupon_match_disc, 0)::DECIMAL(14, 2) AS coupon_match_disc,
       if(sold.campaign_id IS NULL, 0, sales_value_eur)::DECIMAL(14, 2) AS sales_value_eur
FROM sold FULL JOIN redeemed USING (campaign_id, department, week, week_starts_on) LEFT JOIN targeted USING (campaign_id);
SELECT must_be_none('campaign cells against their rules', count(*) FILTER (NOT coalesce(
           department IS NOT NULL AND week IS NOT NULL AND week_starts_on IS NOT NULL AND households_targeted > 0
           AND households_redeeming >= 0 AND redemptions >= 0 AND sales_value >= 0 AND retail_disc >= 0 AND coupon_disc >= 0
           AND coupon_match_disc >= 0 AND sales_value_eur >= 0 AND households_redeeming <= households_targeted, false))),
       must_be_none('repeated campaign, department and week', count(*) - count(DISTINCT (campaign_id, department, week)))
FROM load.campaign_performance;
SELECT must_be_none('campaigns whose redemptions do not add up', count(*))
FROM (SELECT campaign_id, sum(redemptions) AS redemptions FROM load.campaign_performance GROUP BY ALL) AS mart
FULL JOIN (SELECT campaign_id, count(*) AS redemptions FROM transform.redemptions GROUP BY ALL) AS truth USING (campaign_id)
WHERE coalesce(mart.redemptions, 0) <> coalesce(truth.redemptions, 0);
