mod cron_cases;
